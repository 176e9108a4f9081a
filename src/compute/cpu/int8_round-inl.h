// Rows of floats in 8 bits: their scale and their digits (ops.h, Precision::kInt8). Included once
// per Highway target.
#include <cmath>

#include "compute/cpu/simd-inl.h"

#if defined(KONTEXT_COMPUTE_CPU_INT8_ROUND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KONTEXT_COMPUTE_CPU_INT8_ROUND_INL_H_
#undef KONTEXT_COMPUTE_CPU_INT8_ROUND_INL_H_
#else
#define KONTEXT_COMPUTE_CPU_INT8_ROUND_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

// Rows are rounded in memory of a multiple of so many values: any target's vector, whole quads.
constexpr int64_t kRoundAlign = 64;

// max over pairs of |x0|, |x1| and |x0 + x1|, or with kPairs = false over |x|; n is a multiple of
// the vector. As bits, magnitudes order like integers, with infinity and NaN above all finite ones.
template <bool kPairs>
HWY_INLINE float LargestOf(const float* x, int64_t n) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  auto most = hn::Zero(di);
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    const VF v = hn::Load(d, x + i);
    most = hn::Max(most, hn::BitCast(di, hn::Abs(v)));
    if constexpr (kPairs) {
      most = hn::Max(most, hn::BitCast(di, hn::Abs(hn::Add(v, hn::Shuffle2301(v)))));
    }
  }
  return hn::GetLane(hn::BitCast(d, hn::MaxOfLanes(di, most)));
}

struct RoundedRow {
  float scale;
  int32_t sum;  // of q
};
// q = x / scale, rounded to nearest, ties to even, with scale = largest / 127.
HWY_INLINE RoundedRow RoundRow(const float* x, int64_t n, float largest, int8_t* q) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<int8_t, DF> d8;
  // Below the smallest normal float the quotient would be infinite: such a row counts as zeros.
  const float scale = largest < 0x1p-119f ? 0.0f : largest / 127.0f;
  // What a scale of zero or no number multiplies are zeros; the latter makes the row no number.
  if (!(scale > 0) || !std::isfinite(scale)) {
    std::memset(q, 0, static_cast<size_t>(n));
    return {scale, 0};
  }
  const VF factor = hn::Set(d, 1.0f / scale);
  auto sum = hn::Zero(di);
  for (int64_t i = 0; i < n; i += static_cast<int64_t>(hn::Lanes(d))) {
    const auto y = hn::NearestInt(hn::Mul(hn::Load(d, x + i), factor));
    sum = hn::Add(sum, y);
    hn::StoreU(hn::DemoteTo(d8, y), d8, q + i);
  }
  return {scale, hn::GetLane(hn::SumOfLanes(di, sum))};
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#endif  // the toggle
