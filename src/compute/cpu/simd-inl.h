// What every SIMD file of this folder shares: loads and stores of F32, BF16 and F16 as f32 vectors,
// and the exponential with the activations made from it. Included once per Highway target, inside
// HWY_NAMESPACE; no ordinary include guard can do that, hence the toggle.
#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "base/bf16.h"
#include "compute/cpu/rows.h"
#include "compute/f16.h"
#include "compute/ops.h"

#if defined(KONTEXT_COMPUTE_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KONTEXT_COMPUTE_CPU_SIMD_INL_H_
#undef KONTEXT_COMPUTE_CPU_SIMD_INL_H_
#else
#define KONTEXT_COMPUTE_CPU_SIMD_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

// ---- Loads: N values of T as f32, all exact. ---------------------------------------------------

template <class D>
HWY_INLINE hn::Vec<D> LoadF(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> LoadF(D d, const BF16* p) {
  const hn::Rebind<uint32_t, D> du32;
  const hn::Rebind<uint16_t, D> du16;
  const auto bits = hn::LoadU(du16, reinterpret_cast<const uint16_t*>(p));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du32, bits)));
}
template <class D>
HWY_INLINE hn::Vec<D> LoadF(D d, const F16* p) {
#if HWY_TARGET == \
    HWY_SSE4  // has no instruction for it, and Highway's own code turns infinities into 65536
  const hn::Rebind<uint32_t, D> du32;
  const hn::Rebind<uint16_t, D> du16;
  const auto half = hn::PromoteTo(du32, hn::LoadU(du16, reinterpret_cast<const uint16_t*>(p)));
  const auto bits = hn::ShiftLeft<13>(hn::And(half, hn::Set(du32, 0x7FFFu)));
  // The exponent's bias is 15 in one and 127 in the other format: 2^112. Subnormals come out right.
  const auto number = hn::BitCast(du32, hn::Mul(hn::BitCast(d, bits), hn::Set(d, 0x1p112f)));
  const auto special = hn::Or(bits, hn::Set(du32, 0x7F800000u));
  const auto is_number = hn::Lt(bits, hn::Set(du32, 0x0F800000u));
  const auto sign = hn::ShiftLeft<16>(hn::And(half, hn::Set(du32, 0x8000u)));
  return hn::BitCast(d, hn::Or(sign, hn::IfThenElse(is_number, number, special)));
#else
  const hn::Rebind<hwy::float16_t, D> df16;
  return hn::PromoteTo(d, hn::LoadU(df16, reinterpret_cast<const hwy::float16_t*>(p)));
#endif
}

// f(T()) with the T that `dtype` names; dtypes other than the three floats were refused before.
template <class F>
HWY_INLINE void VisitDType(DType dtype, F f) {
  switch (dtype) {
    case DType::kBF16:
      return f(BF16());
    case DType::kF16:
      return f(F16());
    default:
      return f(0.0f);
  }
}

// ---- Stores: rounded once, to nearest, ties to even. -------------------------------------------

template <class D>
HWY_INLINE void StoreF(hn::Vec<D> v, D d, float* p) {
  hn::StoreU(v, d, p);
}
// Highway's own DemoteTo(bfloat16_t) cuts the low half off; this rounds as base/bf16.h does.
template <class D>
HWY_INLINE void StoreF(hn::Vec<D> v, D, BF16* p) {
  const hn::Rebind<int32_t, D> di32;
  const hn::Rebind<uint32_t, D> du32;
  const hn::Rebind<uint16_t, D> du16;
  const auto bits = hn::BitCast(du32, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du32, 1u));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du32, 0x7FFFu))));
  const auto quiet_nan = hn::ShiftRight<16>(hn::Or(bits, hn::Set(du32, 0x00400000u)));
  const auto is_number = hn::RebindMask(du32, hn::Eq(v, v));
  const auto out = hn::BitCast(di32, hn::IfThenElse(is_number, rounded, quiet_nan));
  hn::StoreU(hn::DemoteTo(du16, out), du16, reinterpret_cast<uint16_t*>(p));
}

// ---- The last, partial vector of a row: n < Lanes(d) values; the lanes above are 0. ------------

template <class D, class T>
HWY_INLINE hn::Vec<D> LoadPart(D d, const T* p, size_t n) {
  T lanes[hn::MaxLanes(d)] = {};
  std::memcpy(lanes, p, n * sizeof(T));
  return LoadF(d, lanes);
}
template <class D, class T>
HWY_INLINE void StorePart(hn::Vec<D> v, D d, T* p, size_t n) {
  T lanes[hn::MaxLanes(d)];
  StoreF(v, d, lanes);
  std::memcpy(p, lanes, n * sizeof(T));
}

// ---- Rows of any float dtype. The branch on it is foretold: such ops wait for memory. ----------

// Elements [i, i + n) of a row, n at most a vector.
HWY_INLINE VF LoadRow(InRow row, int64_t i, size_t n) {
  const DF d;
  const auto load = [&](const auto* p)
                        HWY_ATTR { return n == hn::Lanes(d) ? LoadF(d, p) : LoadPart(d, p, n); };
  switch (row.dtype) {
    case DType::kBF16:
      return load(static_cast<const BF16*>(row.data) + i);
    case DType::kF16:
      return load(static_cast<const F16*>(row.data) + i);
    default:
      return load(static_cast<const float*>(row.data) + i);
  }
}

HWY_INLINE void StoreRow(VF v, OutRow row, int64_t i, size_t n) {
  const DF d;
  const auto store = [&](auto* p) HWY_ATTR {
    if (n == hn::Lanes(d)) {
      StoreF(v, d, p);
    } else {
      StorePart(v, d, p, n);
    }
  };
  switch (row.dtype) {
    case DType::kBF16:
      return store(static_cast<BF16*>(row.data) + i);
    case DType::kF16:  // not in a hurry anywhere, and Highway's own rounding differs by target
      HWY_ALIGN float lanes[hn::MaxLanes(d)];
      hn::Store(v, d, lanes);
      for (size_t j = 0; j < n; ++j) {
        static_cast<F16*>(row.data)[i + static_cast<int64_t>(j)] = ToF16(lanes[j]);
      }
      return;
    default:
      return store(static_cast<float*>(row.data) + i);
  }
}

// f(i, n): all of [0, size) by vectors, the last one perhaps partial.
template <class F>
HWY_INLINE void ByVectors(int64_t size, F f) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(DF()));
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes) f(i, static_cast<size_t>(lanes));
  if (i < size) f(i, static_cast<size_t>(size - i));
}

// ---- Functions. --------------------------------------------------------------------------------

// 2^x. x = n + f with f in [-1/2, 1/2]; the polynomial interpolates 2^f at the seven Chebyshev
// nodes, relative error 2.6e-9, so that what remains is the rounding of Horner's scheme: below 2
// ulp in all (simd_test measures it). Below -126.5 the result is 0, above 127.5 infinity; x86's Max
// and Min give the second operand where one is NaN, so that NaN stays NaN.
template <class D>
HWY_INLINE hn::Vec<D> Exp2(D d, hn::Vec<D> x) {
  const hn::Rebind<int32_t, D> di;
  x = hn::Min(hn::Set(d, 128.0f), hn::Max(hn::Set(d, -127.0f), x));
  const auto n = hn::Round(x);
  const auto f = hn::Sub(x, n);
  auto p = hn::Set(d, 1.5461445e-4f);
  p = hn::MulAdd(p, f, hn::Set(d, 1.3400428e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 9.6180567e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.5503272e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.4022651e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.9314721e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  return hn::Mul(p, hn::BitCast(d, exponent));
}

constexpr float kLog2E = 1.44269504f;

// x * sigmoid(z) = x / (1 + exp(-z)): no cancellation anywhere, so all three activations keep a
// relative error of a few ulp as long as z is exact to one.
template <class D>
HWY_INLINE hn::Vec<D> TimesSigmoid(D d, hn::Vec<D> x, hn::Vec<D> z) {
  const auto e = Exp2(d, hn::Mul(z, hn::Set(d, -kLog2E)));
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), e));
}

// The formulas of spec architecture 0; gelu_tanh by 0.5 (1 + tanh(u)) = sigmoid(2u).
template <class D>
HWY_INLINE hn::Vec<D> Activated(D d, Activation act, hn::Vec<D> x) {
  switch (act) {
    case Activation::kNone:
      return x;
    case Activation::kSilu:
      return TimesSigmoid(d, x, x);
    case Activation::kQuickGelu:
      return TimesSigmoid(d, x, hn::Mul(x, hn::Set(d, 1.702f)));
    case Activation::kGeluTanh: {
      // 2 sqrt(2/pi) (x + 0.044715 x^3)
      const auto x2 = hn::Mul(x, x);
      const auto inner = hn::MulAdd(hn::Set(d, 0.0713548163f), x2, hn::Set(d, 1.59576912f));
      return TimesSigmoid(d, x, hn::Mul(x, inner));
    }
  }
  return x;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#endif  // the toggle
