#include "compute/cpu/elementwise.h"

#include "compute/cpu/parallel.h"
#include "compute/cpu/rows.h"
#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/elementwise.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

void CombineHere(InRow a, InRow b, Arithmetic how, OutRow dst, int64_t size) {
  ByVectors(size, [&](int64_t i, size_t n) HWY_ATTR {
    const VF x = LoadRow(a, i, n), y = LoadRow(b, i, n);
    StoreRow(how == Arithmetic::kAdd ? hn::Add(x, y) : hn::Mul(x, y), dst, i, n);
  });
}

void ActivateHere(InRow src, Activation act, OutRow dst, int64_t size) {
  ByVectors(size, [&](int64_t i, size_t n)
                      HWY_ATTR { StoreRow(Activated(DF(), act, LoadRow(src, i, n)), dst, i, n); });
}

void AddGatedHere(InRow src, const float* gate, OutRow dst, int64_t size) {
  ByVectors(size, [&](int64_t i, size_t n) HWY_ATTR {
    const VF x = LoadRow(src, i, n), y = LoadRow({dst.data, dst.dtype}, i, n);
    const VF sum =
        gate != nullptr ? hn::MulAdd(x, LoadRow({gate, DType::kF32}, i, n), y) : hn::Add(x, y);
    StoreRow(sum, dst, i, n);
  });
}

void ConvertHere(InRow src, OutRow dst, int64_t size) {
  ByVectors(size, [&](int64_t i, size_t n) HWY_ATTR { StoreRow(LoadRow(src, i, n), dst, i, n); });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kontext::cpu {
namespace {

HWY_EXPORT(CombineHere);
HWY_EXPORT(ActivateHere);
HWY_EXPORT(AddGatedHere);
HWY_EXPORT(ConvertHere);

float ScalarAt(const ConstTensorView& v, int64_t index) {
  switch (v.dtype()) {
    case DType::kBF16:
      return ToFloat(v.As<BF16>()[index]);
    case DType::kF16:
      return ToFloat(v.As<F16>()[index]);
    default:
      return v.As<float>()[index];
  }
}

void SetScalar(const TensorView& v, int64_t index, float x) {
  switch (v.dtype()) {
    case DType::kBF16:
      v.As<BF16>()[index] = ToBF16(x);
      return;
    case DType::kF16:
      v.As<F16>()[index] = ToF16(x);
      return;
    default:
      v.As<float>()[index] = x;
  }
}

// body(row) for all rows, on all threads.
template <class Body>
void EachRow(const RowWalk& walk, const Body& body) {
  ParallelRows(walk.rows(), walk.width(), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) body(r);
  });
}

}  // namespace

void Combine(ConstTensorView a, ConstTensorView b, Arithmetic how, TensorView dst) {
  const RowWalk walk(dst, a.IsDense() && b.IsDense() && dst.IsDense());
  EachRow(walk, [&](int64_t r) {
    HWY_DYNAMIC_DISPATCH(CombineHere)
    (RowOf(a, walk.offset(a, r)), RowOf(b, walk.offset(b, r)), how, RowOf(dst, walk.offset(dst, r)),
     walk.width(r));
  });
}

void ActivateAll(ConstTensorView src, Activation act, TensorView dst) {
  const RowWalk walk(dst, src.IsDense() && dst.IsDense());
  EachRow(walk, [&](int64_t r) {
    HWY_DYNAMIC_DISPATCH(ActivateHere)
    (RowOf(src, walk.offset(src, r)), act, RowOf(dst, walk.offset(dst, r)), walk.width(r));
  });
}

void AddGated(ConstTensorView src, const float* gate, TensorView dst) {
  const RowWalk walk(dst, false);  // rows of [T,D]: the gate runs along them
  EachRow(walk, [&](int64_t r) {
    HWY_DYNAMIC_DISPATCH(AddGatedHere)
    (RowOf(src, walk.offset(src, r)), gate, RowOf(dst, walk.offset(dst, r)), dst.dim(1));
  });
}

void CopyAll(ConstTensorView src, TensorView dst) {
  const int last = dst.rank() - 1;
  const RowWalk walk(dst, src.IsDense() && dst.IsDense());
  if (dst.dim(last) == 1 || (src.stride(last) == 1 && dst.stride(last) == 1)) {
    EachRow(walk, [&](int64_t r) {
      HWY_DYNAMIC_DISPATCH(ConvertHere)
      (RowOf(src, walk.offset(src, r)), RowOf(dst, walk.offset(dst, r)), walk.width(r));
    });
    return;
  }
  EachRow(walk, [&](int64_t r) {
    const int64_t from = walk.offset(src, r), to = walk.offset(dst, r);
    for (int64_t i = 0; i < dst.dim(last); ++i) {
      SetScalar(dst, to + i * dst.stride(last), ScalarAt(src, from + i * src.stride(last)));
    }
  });
}

void Gather(ConstTensorView table, const int32_t* ids, TensorView dst) {
  ParallelRows(dst.dim(0), dst.dim(1), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      HWY_DYNAMIC_DISPATCH(ConvertHere)
      (RowOf(table, int64_t{ids[t]} * table.stride(0)), RowOf(dst, t * dst.stride(0)), dst.dim(1));
    }
  });
}

void UpsampleNearest2x(ConstTensorView src, TensorView dst) {
  const int64_t channels = src.dim(2);
  ParallelRows(dst.dim(0), dst.dim(1) * channels, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y) {
      for (int64_t x = 0; x < dst.dim(1); ++x) {
        HWY_DYNAMIC_DISPATCH(ConvertHere)
        (RowOf(src, y / 2 * src.stride(0) + x / 2 * src.stride(1)),
         RowOf(dst, y * dst.stride(0) + x * dst.stride(1)), channels);
      }
    }
  });
}

}  // namespace kontext::cpu
#endif  // HWY_ONCE
