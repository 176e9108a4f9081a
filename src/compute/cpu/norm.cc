#include "compute/cpu/norm.h"

#include <cmath>

#include "compute/cpu/parallel.h"
#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/norm.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

void NormalizeRowsHere(const ConstTensorView& src, const RowNorm& norm, const TensorView& dst,
                       int64_t begin, int64_t end) {
  const int64_t size = src.shape().back();
  for (int64_t r = begin; r < end; ++r) {
    const InRow in = RowOf(src, RowOffset(src, r));
    const OutRow out = RowOf(dst, RowOffset(dst, r));
    const RowMoments moments = MomentsOf(norm, in, size);
    ByVectors(size, [&](int64_t i, size_t n) HWY_ATTR {
      StoreRow(Normalized(norm, moments, LoadRow(in, i, n), i, n), out, i, n);
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

void NormalizeRows(const ConstTensorView& src, const RowNorm& norm, const TensorView& dst) {
  const int64_t size = src.shape().back();
  const int64_t rows = src.shape().NumElements() / size;
  ParallelRows(rows, size, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(NormalizeRowsHere)(src, norm, dst, begin, end);
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
