#include "weights/adapted_source.h"

#include <algorithm>
#include <utility>

namespace kontext {
namespace {

// Whether the pieces, stacked, are a matrix of that shape. (If not, the loader says so.)
bool AreMatrix(std::vector<WeightRows>& pieces, const Shape& shape) {
  int64_t rows_left = shape[0];
  for (WeightRows& piece : pieces) {
    if (piece.rank() == 4 && piece.dim(2) == 1 && piece.dim(3) == 1) {
      piece = piece.Reshaped({piece.dim(0), piece.dim(1)});
    }
    const bool readable = piece.is_encoded() || IsFloat(piece.dense().dtype());
    if (!readable || piece.rank() != 2 || piece.dim(1) != shape[1] || piece.dim(0) > rows_left) {
      return false;
    }
    rows_left -= piece.dim(0);
  }
  return rows_left == 0 && !pieces.empty();
}

}  // namespace

AdaptedSource::AdaptedSource(TensorSource& base, const std::vector<AppliedAdapter>& adapters,
                             bool merge)
    : base_(base) {
  for (const AppliedAdapter& applied : adapters) {
    if (applied.strength == 0) continue;
    for (const AdapterTerm& term : applied.adapter->terms) {
      const std::string& layer = term.target.layer;
      const MergeTerm entry{&term, applied.strength};
      const bool low_rank = dynamic_cast<const LowRankDelta*>(term.delta.get()) != nullptr;
      if (term.delta != nullptr) {
        const bool beside = low_rank && term.magnitude.empty() && !merge;
        (beside ? beside_ : merged_)[layer + ".weight"].push_back(entry);
      }
      if (!term.bias.empty()) biases_[layer + ".bias"].push_back(entry);
    }
  }
}

Result<std::vector<WeightRows>> AdaptedSource::Find(const std::string& name, const Shape& shape) {
  KX_ASSIGN_OR_RETURN(std::vector<WeightRows> pieces, base_.Find(name, shape));
  if (biases_.contains(name)) return AddBiases(pieces, name, shape);
  const auto at = merged_.find(name);
  if (at == merged_.end() || shape.rank() != 2 || !AreMatrix(pieces, shape)) return pieces;
  KX_ASSIGN_OR_RETURN(const auto merged, MergedMatrix::Create(std::move(pieces), at->second));
  return std::vector<WeightRows>{WeightRows(merged, shape)};
}

std::vector<LowRank> AdaptedSource::Branches(const std::string& name) {
  std::vector<LowRank> branches;
  const auto at = beside_.find(name);
  if (at == beside_.end()) return branches;
  for (const MergeTerm& entry : at->second) {
    const Factors& f = static_cast<const LowRankDelta&>(*entry.term->delta).factors;
    for (const AdapterTarget::Piece& p : entry.term->target.pieces) {
      branches.push_back({f.down, f.up.Rows(p.from.begin, p.from.end), p.row,
                          entry.strength * entry.term->factor});
    }
  }
  return branches;
}

Result<std::vector<WeightRows>> AdaptedSource::AddBiases(const std::vector<WeightRows>& pieces,
                                                         const std::string& name,
                                                         const Shape& shape) {
  auto sum = sums_.find(name);
  if (sum == sums_.end()) {
    int64_t left = shape[0];
    for (const WeightRows& piece : pieces) {
      const bool readable = piece.is_encoded() || IsFloat(piece.dense().dtype());
      if (!readable || piece.rank() != 1 || piece.dim(0) > left) return pieces;
      left -= piece.dim(0);
    }
    if (left != 0) return pieces;
    KX_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Allocate(DType::kF32, shape));
    float* values = tensor.view().As<float>();
    int64_t first = 0;
    for (const WeightRows& piece : pieces) {
      piece.DecodeAll(values + first);
      first += piece.dim(0);
    }
    for (const MergeTerm& entry : biases_.at(name)) {
      for (const AdapterTarget::Piece& p : entry.term->target.pieces) {
        for (int64_t i = 0; i < p.from.end - p.from.begin; ++i) {
          values[p.row + i] +=
              entry.strength * entry.term->bias[static_cast<size_t>(p.from.begin + i)];
        }
      }
    }
    sum = sums_.emplace(name, std::move(tensor)).first;
  }
  return std::vector<WeightRows>{std::as_const(sum->second).view()};
}

}  // namespace kontext
