#include "weights/merged_matrix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace kontext {
namespace {

constexpr int64_t kRun = EncodedMatrix::kGranule;  // columns worked on at once
using RunOfColumns = std::array<float, kRun>;

// The row of the target that lies in row `row` of the weight, or -1.
int64_t TargetRow(const AdapterTarget& target, int64_t row) {
  for (const AdapterTarget::Piece& p : target.pieces) {
    if (row >= p.row && row < p.row + p.from.end - p.from.begin) return p.from.begin + row - p.row;
  }
  return -1;
}

}  // namespace

Result<std::shared_ptr<const MergedMatrix>> MergedMatrix::Create(
    std::vector<WeightRows> base, const std::vector<MergeTerm>& terms) {
  KX_ENSURE(!base.empty());
  int64_t rows = 0;
  const int64_t columns = base.front().dim(1);
  for (const WeightRows& piece : base) rows += piece.dim(0);
  std::shared_ptr<MergedMatrix> merged(new MergedMatrix(std::move(base), rows, columns));
  for (const MergeTerm& t : terms) {
    KX_ENSURE(t.term->delta != nullptr && t.term->target.columns == columns);
    for (const AdapterTarget::Piece& p : t.term->target.pieces) {
      KX_ENSURE(p.row >= 0 && p.row + p.from.end - p.from.begin <= rows);
    }
    merged->terms_.push_back({t.term, t.strength, merged->Gain(*t.term)});
  }
  return std::shared_ptr<const MergedMatrix>(std::move(merged));
}

void MergedMatrix::DecodeBase(int64_t row, int64_t begin, int64_t end, float* out) const {
  for (const WeightRows& piece : base_) {
    if (row < piece.dim(0)) return piece.Decode(row, begin, end, out);
    row -= piece.dim(0);
  }
}

void MergedMatrix::Decode(int64_t row, int64_t begin, int64_t end, float* out) const {
  RunOfColumns base;
  for (int64_t k = begin; k < end; k += kRun) {
    const int64_t stop = std::min(k + kRun, end);
    DecodeBase(row, k, stop, base.data());
    std::copy_n(base.data(), stop - k, out + (k - begin));
    for (const Term& t : terms_) {
      const int64_t target_row = TargetRow(t.term->target, row);
      if (target_row >= 0) AddTerm(t, target_row, k, stop, base.data(), out + (k - begin));
    }
  }
}

// out += s * f * delta, or with magnitudes s * (gain * (base + f * delta) - base); at most kRun
// columns.
void MergedMatrix::AddTerm(const Term& t, int64_t target_row, int64_t begin, int64_t end,
                           const float* base, float* out) const {
  const float factor = t.term->factor;
  if (t.gain.empty()) {
    t.term->delta->AddRow(target_row, begin, end, t.strength * factor, out);
    return;
  }
  RunOfColumns sum;
  std::copy_n(base, end - begin, sum.data());
  t.term->delta->AddRow(target_row, begin, end, factor, sum.data());
  for (int64_t k = begin; k < end; ++k) {
    const auto i = static_cast<size_t>(k - begin);
    const float gain = t.gain[static_cast<size_t>(t.term->magnitude_of_rows ? target_row : k)];
    out[i] += t.strength * (gain * sum[i] - base[i]);
  }
}

// m / |W + f * delta| (LyCORIS, and PEFT with m [out]); 0 where the norm is.
std::vector<float> MergedMatrix::Gain(const AdapterTerm& term) const {
  if (term.magnitude.empty()) return {};
  std::vector<double> squares(term.magnitude.size());
  RunOfColumns sum;
  for (const AdapterTarget::Piece& p : term.target.pieces) {
    for (int64_t i = 0; i < p.from.end - p.from.begin; ++i) {
      for (int64_t k = 0; k < columns; k += kRun) {
        const int64_t stop = std::min(k + kRun, columns);
        DecodeBase(p.row + i, k, stop, sum.data());
        term.delta->AddRow(p.from.begin + i, k, stop, term.factor, sum.data());
        for (int64_t c = k; c < stop; ++c) {
          const double v = sum[static_cast<size_t>(c - k)];
          squares[static_cast<size_t>(term.magnitude_of_rows ? p.from.begin + i : c)] += v * v;
        }
      }
    }
  }
  std::vector<float> gain(squares.size());
  for (size_t i = 0; i < gain.size(); ++i) {
    const double norm = std::sqrt(squares[i]);
    gain[i] = norm > 0 ? static_cast<float>(static_cast<double>(term.magnitude[i]) / norm) : 0.0f;
  }
  return gain;
}

void MergedMatrix::Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const {
  int64_t start = 0;
  for (const WeightRows& piece : base_) {
    const int64_t from = std::max(begin - start, int64_t{0});
    const int64_t to = std::min(end - start, piece.dim(0));
    if (from < to) piece.Rows(from, to).Touches(spans);
    start += piece.dim(0);
  }
}

std::string MergedMatrix::encoding() const { return base_.front().encoding() + " + adapters"; }

}  // namespace kontext
