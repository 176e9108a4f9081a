#include "weights/delta.h"

#include <algorithm>
#include <array>

namespace kontext {
namespace {

// Columns computed at once, in memory on the stack.
constexpr int64_t kRun = EncodedMatrix::kGranule;
using RunOfColumns = std::array<float, kRun>;

// sums[k - begin] += factor * (up . down)[row, k], at most kRun columns.
void AddProduct(const Factors& f, int64_t row, int64_t begin, int64_t end, float factor,
                float* sums) {
  const WeightRows up(f.up), down(f.down);
  RunOfColumns line;
  for (int64_t r = 0; r < f.down.dim(0); ++r) {
    float weight = 0;
    up.Decode(row, r, r + 1, &weight);
    weight *= factor;
    down.Decode(r, begin, end, line.data());
    for (int64_t k = 0; k < end - begin; ++k) sums[k] += weight * line[static_cast<size_t>(k)];
  }
}

}  // namespace

void LowRankDelta::AddRow(int64_t row, int64_t begin, int64_t end, float factor, float* out) const {
  for (int64_t k = begin; k < end; k += kRun) {
    AddProduct(factors, row, k, std::min(k + kRun, end), factor, out + (k - begin));
  }
}

void HadamardDelta::AddRow(int64_t row, int64_t begin, int64_t end, float factor,
                           float* out) const {
  for (int64_t k = begin; k < end; k += kRun) {
    const int64_t stop = std::min(k + kRun, end);
    RunOfColumns a{}, b{};
    AddProduct(a_, row, k, stop, 1.0f, a.data());
    AddProduct(b_, row, k, stop, 1.0f, b.data());
    for (size_t i = 0; i < static_cast<size_t>(stop - k); ++i) {
      out[k - begin + static_cast<int64_t>(i)] += factor * a[i] * b[i];
    }
  }
}

void KroneckerDelta::AddRow(int64_t row, int64_t begin, int64_t end, float factor,
                            float* out) const {
  const int64_t p = b_.shape()[0], q = b_.shape()[1];
  const float* a = a_.view().As<float>() + row / p * a_.shape()[1];
  const float* b = b_.view().As<float>() + row % p * q;
  for (int64_t k = begin; k < end; ++k) out[k - begin] += factor * a[k / q] * b[k % q];
}

void FullDelta::AddRow(int64_t row, int64_t begin, int64_t end, float factor, float* out) const {
  RunOfColumns line;
  for (int64_t k = begin; k < end; k += kRun) {
    const int64_t stop = std::min(k + kRun, end);
    difference_.Decode(row, k, stop, line.data());
    for (int64_t i = k; i < stop; ++i) out[i - begin] += factor * line[static_cast<size_t>(i - k)];
  }
}

Result<Tensor> MultiplyOut(const Factors& factors) {
  const LowRankDelta product(factors);
  KX_ASSIGN_OR_RETURN(Tensor out, Tensor::Allocate(DType::kF32, {product.rows, product.columns}));
  float* values = out.view().As<float>();
  std::fill_n(values, product.rows * product.columns, 0.0f);
  for (int64_t row = 0; row < product.rows; ++row) {
    product.AddRow(row, 0, product.columns, 1.0f, values + row * product.columns);
  }
  return out;
}

}  // namespace kontext
