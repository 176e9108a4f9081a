#include "compute/cpu/int8_softmax.h"

#include <limits>

#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/int8_softmax.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

using DU = hn::RebindToUnsigned<DF>;
using VU = hn::Vec<DU>;
constexpr uint32_t kDigitBits =
    0x4B000000;  // of 2^23: a digit d as the float 2^23 + d has kDigitBits + d

// The bits of 2^23 + round(2^x), for x <= log2(255). 2^f for f in [-1/2, 1/2] interpolates at four
// Chebyshev nodes, relative error 1.0e-4: 0.026 of a digit at most. Adding 1.5 * 2^23 rounds x to a
// whole number and leaves it in the low bits, from where a shift brings it to the exponent.
HWY_INLINE VU Digit(VF x) {
  const DF d;
  const DU du;
  const VF magic = hn::Set(d, 0x1.8p23f);
  x = hn::Max(x, hn::Set(d, -3.0f));  // 2^-3 is digit 0 already
  const VF shifted = hn::Add(x, magic);
  const VF f = hn::Sub(x, hn::Sub(shifted, magic));
  VF y = hn::Set(d, 5.58382832e-02f);
  y = hn::MulAdd(y, f, hn::Set(d, 2.42639482e-01f));
  y = hn::MulAdd(y, f, hn::Set(d, 6.93136752e-01f));
  y = hn::MulAdd(y, f, hn::Set(d, 9.99924541e-01f));
  const VU power = hn::Add(hn::BitCast(du, y), hn::ShiftLeft<23>(hn::BitCast(du, shifted)));
  return hn::BitCast(du, hn::Add(hn::BitCast(d, power), hn::Set(d, 0x1p23f)));
}

void ProbabilitiesHere(const float* k_scale, const int32_t* k_sums, int64_t count, int32_t* scores,
                       const Int8Queries& q, int8_t* p) {
  const DF d;
  const DU du;
  const hn::RebindToSigned<DF> di;
  const hn::Repartition<int8_t, DF> d8;
  constexpr float kLog2Of255 = 7.99435344f;
  for (int64_t i = 0; i < kInt8Features; i += static_cast<int64_t>(hn::Lanes(d))) {
    int32_t* s = scores + i;
    VF most = hn::Set(d, -std::numeric_limits<float>::infinity());
    for (int64_t j = 0; j < count; ++j) {
      const auto sum = hn::Sub(hn::Load(di, s + j * kInt8Features), hn::Set(di, k_sums[j]));
      const VF x = hn::Mul(hn::ConvertTo(d, sum), hn::Set(d, k_scale[j]));
      most = hn::Max(most, x);
      hn::Store(hn::BitCast(di, x), di, s + j * kInt8Features);
    }
    const VF scale = hn::Load(d, q.scale + i), block_max = hn::Mul(most, scale);
    const VF offset = hn::Sub(hn::Set(d, kLog2Of255), block_max);
    VU digits = hn::Zero(du);  // modulo 2^32
    const auto digit = [&](int64_t j) HWY_ATTR {
      const VF x = hn::BitCast(d, hn::Load(di, s + j * kInt8Features));
      const VU bits = Digit(hn::MulAdd(x, scale, offset));
      digits = hn::Add(digits, bits);
      return bits;
    };
    // Of the bits above a digit only the first one's stay within the lane.
    const VU clear = hn::Set(du, kDigitBits);
    const auto store = [&](int64_t j, VU quad) HWY_ATTR {
      hn::Store(hn::BitCast(d8, hn::Xor(quad, clear)), d8,
                p + (j / kInt8Depth * kInt8Features + i) * kInt8Depth);
    };
    int64_t j = 0;
    for (; j + kInt8Depth <= count; j += kInt8Depth) {
      const VU b0 = digit(j), b1 = digit(j + 1), b2 = digit(j + 2), b3 = digit(j + 3);
      store(j, hn::Xor(hn::Xor(b0, hn::ShiftLeft<8>(b1)),
                       hn::Xor(hn::ShiftLeft<16>(b2), hn::ShiftLeft<24>(b3))));
    }
    if (j < count) {
      VU quad = digit(j);
      if (j + 1 < count) quad = hn::Xor(quad, hn::ShiftLeft<8>(digit(j + 1)));
      if (j + 2 < count) quad = hn::Xor(quad, hn::ShiftLeft<16>(digit(j + 2)));
      store(j, quad);
    }
    digits = hn::Sub(digits, hn::Set(du, static_cast<uint32_t>(count) * kDigitBits));
    const VF before = hn::Load(d, q.max + i), now = hn::Max(before, block_max);
    const VF shrink = Exp2(d, hn::Sub(before, now)), grow = Exp2(d, hn::Sub(block_max, now));
    const VF sum = hn::ConvertTo(d, hn::BitCast(di, digits));
    hn::Store(now, d, q.max + i);
    hn::Store(shrink, d, q.shrink + i);
    hn::Store(grow, d, q.grow + i);
    hn::Store(hn::MulAdd(hn::Load(d, q.sum + i), shrink, hn::Mul(sum, grow)), d, q.sum + i);
  }
}

void AccumulateHere(const int32_t* sums, const float* v_scale, int64_t channels,
                    const Int8Queries& q) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  for (int64_t i = 0; i < kInt8Features; i += static_cast<int64_t>(hn::Lanes(d))) {
    const VF shrink = hn::Load(d, q.shrink + i), grow = hn::Load(d, q.grow + i);
    for (int64_t e = 0; e < channels; ++e) {
      const int64_t at = e * kInt8Features + i;
      const VF scale = hn::Mul(grow, hn::Set(d, v_scale[e]));
      const VF sum = hn::ConvertTo(d, hn::Load(di, sums + at));
      hn::Store(hn::MulAdd(sum, scale, hn::Mul(hn::Load(d, q.out + at), shrink)), d, q.out + at);
    }
  }
}

void StoreQueriesHere(const Int8Queries& q, const float* poison, int64_t row, int64_t rows,
                      int64_t column, int64_t channels, float* scratch, const TensorView& dst) {
  const DF d;
  for (int64_t i = 0; i < rows; ++i) {
    const OutRow to = RowOf(dst, (row + i) * dst.stride(0));
    for (int64_t e = 0; e < channels; ++e) scratch[e] = q.out[e * kInt8Features + i];
    const VF sum = hn::Set(d, q.sum[i]), bad = hn::Set(d, poison[i]);
    ByVectors(channels, [&](int64_t e, size_t n) HWY_ATTR {
      const VF x = LoadRow({scratch, DType::kF32}, e, n);
      StoreRow(hn::Add(hn::Div(x, sum), bad), to, column + e, n);
    });
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kontext::cpu {

HWY_EXPORT(ProbabilitiesHere);
HWY_EXPORT(AccumulateHere);
HWY_EXPORT(StoreQueriesHere);

void Probabilities(const float* k_scale, const int32_t* k_sums, int64_t count, int32_t* scores,
                   const Int8Queries& queries, int8_t* p) {
  HWY_DYNAMIC_DISPATCH(ProbabilitiesHere)(k_scale, k_sums, count, scores, queries, p);
}
void Accumulate(const int32_t* sums, const float* v_scale, int64_t channels,
                const Int8Queries& queries) {
  HWY_DYNAMIC_DISPATCH(AccumulateHere)(sums, v_scale, channels, queries);
}
void StoreQueries(const Int8Queries& queries, const float* poison, int64_t row, int64_t rows,
                  int64_t column, int64_t channels, float* scratch, const TensorView& dst) {
  HWY_DYNAMIC_DISPATCH(StoreQueriesHere)
  (queries, poison, row, rows, column, channels, scratch, dst);
}

}  // namespace kontext::cpu
#endif  // HWY_ONCE
