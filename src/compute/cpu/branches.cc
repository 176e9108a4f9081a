#include "compute/cpu/branches.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace kontext::cpu {
namespace {

int64_t RankOf(const std::vector<LowRank>& branches) {
  int64_t rank = 0;
  for (const LowRank& b : branches) rank += b.down.dim(0);
  return rank;
}

// The ups side by side, each times its factor; zeros in the features that a branch leaves alone.
class Ups : public EncodedMatrix {
 public:
  Ups(const std::vector<LowRank>& branches, int64_t features)
      : EncodedMatrix(features, RankOf(branches)), branches_(branches) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    std::fill(out, out + (end - begin), 0.0f);
    int64_t column = 0;  // the branch's first
    for (const LowRank& b : branches_) {
      const int64_t from = std::max(begin, column), to = std::min(end, column + b.up.dim(1));
      const int64_t up_row = row - b.first_row;
      if (from < to && up_row >= 0 && up_row < b.up.dim(0)) {
        float* values = out + (from - begin);
        WeightRows(b.up).Decode(up_row, from - column, to - column, values);
        for (int64_t i = 0; i < to - from; ++i) values[i] *= b.factor;
      }
      column += b.up.dim(1);
    }
  }
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override {
    for (const LowRank& b : branches_) {
      const int64_t from = std::max(begin - b.first_row, int64_t{0});
      const int64_t to = std::min(end - b.first_row, b.up.dim(0));
      if (from < to) WeightRows(b.up.Rows(from, to)).Touches(spans);
    }
  }
  std::string encoding() const override { return "low-rank"; }

 private:
  const std::vector<LowRank> branches_;
};

}  // namespace

Branches::Branches(const std::vector<LowRank>& branches, int64_t features)
    : rank_(RankOf(branches)) {
  if (rank_ == 0) return;
  std::vector<WeightRows> downs;
  for (const LowRank& b : branches) downs.emplace_back(b.down);
  downs_.emplace(std::move(downs));
  ups_.emplace(std::vector<WeightRows>{
      WeightRows(std::make_shared<Ups>(branches, features), {features, rank_})});
}

Result<ConstTensorView> Branches::Narrowed(const ConstTensorView& x, Workspace& space) const {
  KX_ASSIGN_OR_RETURN(float* memory, space.Floats(Slot::kNarrowed, x.dim(0) * rank_));
  const TensorView narrowed = ViewOf(memory, {x.dim(0), rank_});
  KX_RETURN_IF_ERROR(
      Multiply(F32Panels(), {{LeftRows::Matrix(x), *downs_}}, Epilogue{}, narrowed, space));
  return ConstTensorView(narrowed);
}

void BranchSlots(ProductPath path, int64_t rank, const OpSizes& s, SlotBytes& bytes) {
  if (rank == 0) return;
  Raise(bytes, Slot::kNarrowed, s.rows * rank * SizeOf(DType::kF32));
  ProductSlots(F32Panels(), s.rows, s.in, rank, bytes);
  ProductSlots(F32Panels(), s.rows, rank, s.out, bytes);
  if (path != ProductPath::kWiden) return;
  // One product with the weight's: the ups are decoded a granule at a time, as a slice of k of
  // their own.
  ProductSlots(F32Panels(), s.rows, EncodedMatrix::kGranule + s.in, s.out, bytes);
}

}  // namespace kontext::cpu
