#include "compute/cpu/norm.h"

#include <cmath>

#include "compute/cpu/parallel.h"
#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/norm.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/simd-inl.h"

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

// Two passes for the statistics (the mean first: nothing cancels), a third to write; a row of 3072
// stays in the first cache.
void NormalizeRowsHere(const NormCall& c, int64_t begin, int64_t end) {
  const DF d;
  const int64_t size = c.src.shape().back();
  const float count = static_cast<float>(size);
  const VF one = hn::Set(d, 1.0f);
  for (int64_t r = begin; r < end; ++r) {
    const InRow src = RowOf(c.src, RowOffset(c.src, r));
    const OutRow dst = RowOf(c.dst, RowOffset(c.dst, r));
    const float mean = c.centred ? RowSum(src, size) / count : 0.0f;
    const float rest = RowSquares(src, size, mean) / count + c.eps;
    const VF m = hn::Set(d, mean), inverse = hn::Set(d, 1.0f / std::sqrt(rest));
    ByVectors(size, [&](int64_t i, size_t n) HWY_ATTR {
      VF x = hn::Mul(hn::Sub(LoadRow(src, i, n), m), inverse);
      if (c.weight != nullptr) {
        const VF w = LoadRow({c.weight, DType::kF32}, i, n);
        x = hn::Mul(x, c.weight_plus_one ? hn::Add(w, one) : w);
      }
      if (c.bias != nullptr) x = hn::Add(x, LoadRow({c.bias, DType::kF32}, i, n));
      StoreRow(x, dst, i, n);
    });
  }
}

// One head of one token.
HWY_INLINE void NormAndRotate(const HeadsCall& c, InRow src, OutRow dst, int64_t token) {
  const DF d;
  const int64_t size = c.src.dim(2);
  VF inverse = hn::Set(d, 1.0f);
  if (c.norm != nullptr) {
    const float mean = RowSquares(src, size, 0.0f) / static_cast<float>(size);
    inverse = hn::Set(d, 1.0f / std::sqrt(mean + c.eps));
  }
  ByVectors(size, [&](int64_t i, size_t n) HWY_ATTR {
    VF x = LoadRow(src, i, n);
    if (c.norm != nullptr) {
      x = hn::Mul(hn::Mul(x, inverse), LoadRow({c.norm, DType::kF32}, i, n));
    }
    if (c.rope != nullptr) {  // pairs (x0, x1): cos x0 - sin x1, cos x1 + sin x0
      const VF table = LoadRow({c.rope + token * size, DType::kF32}, i, n);
      const VF sin = hn::DupOdd(table);
      const VF turned = hn::Mul(hn::Shuffle2301(x), hn::OddEven(sin, hn::Neg(sin)));
      x = hn::MulAdd(x, hn::DupEven(table), turned);
    }
    StoreRow(x, dst, i, n);
  });
}

void NormAndRotateHeadsHere(const HeadsCall& c, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t h = 0; h < c.src.dim(0); ++h) {
      NormAndRotate(c, RowOf(c.src, h * c.src.stride(0) + t * c.src.stride(1)),
                    RowOf(c.dst, h * c.dst.stride(0) + t * c.dst.stride(1)), t);
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kontext::cpu {

HWY_EXPORT(NormalizeRowsHere);
HWY_EXPORT(NormAndRotateHeadsHere);

void NormalizeRows(const NormCall& call) {
  const int64_t size = call.src.shape().back();
  const int64_t rows = call.src.shape().NumElements() / size;
  ParallelRows(rows, size, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(NormalizeRowsHere)(call, begin, end);
  });
}

void NormAndRotateHeads(const HeadsCall& call) {
  const int64_t work = call.src.dim(0) * call.src.dim(2);
  ParallelRows(call.src.dim(1), work, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(NormAndRotateHeadsHere)(call, begin, end);
  });
}

}  // namespace kontext::cpu
#endif  // HWY_ONCE
