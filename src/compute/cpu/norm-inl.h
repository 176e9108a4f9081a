// RowNorm (norm.h) by vectors: what NormalizeRows stores and what products in 8 bits pack. Included
// once per Highway target.
#include <cmath>

#include "compute/cpu/norm.h"
#include "compute/cpu/simd-inl.h"

#if defined(KONTEXT_COMPUTE_CPU_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KONTEXT_COMPUTE_CPU_NORM_INL_H_
#undef KONTEXT_COMPUTE_CPU_NORM_INL_H_
#else
#define KONTEXT_COMPUTE_CPU_NORM_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

HWY_INLINE float RowSum(InRow row, int64_t size) {
  VF sum = hn::Zero(DF());
  ByVectors(size, [&](int64_t i, size_t n) HWY_ATTR { sum = hn::Add(sum, LoadRow(row, i, n)); });
  return hn::GetLane(hn::SumOfLanes(DF(), sum));
}

// sum (x - mean)^2
HWY_INLINE float RowSquares(InRow row, int64_t size, float mean) {
  const DF d;
  const VF m = hn::Set(d, mean);
  VF sum = hn::Zero(d);
  ByVectors(size, [&](int64_t i, size_t n) HWY_ATTR {
    const VF x = hn::IfThenElseZero(hn::FirstN(d, n), hn::Sub(LoadRow(row, i, n), m));
    sum = hn::MulAdd(x, x, sum);
  });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

struct RowMoments {
  float mean, inverse;  // 1 / sqrt(var + eps)
};
// Two passes (the mean first: nothing cancels); a row of 3072 stays in the first cache.
HWY_INLINE RowMoments MomentsOf(const RowNorm& norm, InRow row, int64_t size) {
  const float count = static_cast<float>(size);
  const float mean = norm.centred ? RowSum(row, size) / count : 0.0f;
  return {mean, 1.0f / std::sqrt(RowSquares(row, size, mean) / count + norm.eps)};
}

// n values of the row from i on.
HWY_INLINE VF Normalized(const RowNorm& norm, const RowMoments& m, VF x, int64_t i, size_t n) {
  const DF d;
  x = hn::Mul(hn::Sub(x, hn::Set(d, m.mean)), hn::Set(d, m.inverse));
  if (norm.weight != nullptr) {
    const VF w = LoadRow({norm.weight, DType::kF32}, i, n);
    x = hn::Mul(x, norm.weight_plus_one ? hn::Add(w, hn::Set(d, 1.0f)) : w);
  }
  return norm.bias != nullptr ? hn::Add(x, LoadRow({norm.bias, DType::kF32}, i, n)) : x;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#endif  // the toggle
