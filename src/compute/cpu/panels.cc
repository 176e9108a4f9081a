#include "compute/cpu/panels.h"

#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/panels.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/micro_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

int64_t PanelColumnsHere() { return PanelColumns(); }

void PackRowPanelHere(const void* const* rows, DType dtype, int64_t k, float* dst) {
  VisitDType(dtype, [&](auto zero) HWY_ATTR {
    using T = decltype(zero);
    PackRowPanel(reinterpret_cast<const T* const*>(rows), k, dst);
  });
}

void PackColumnPanelHere(const void* const* rows, DType dtype, int64_t k, float* dst) {
  VisitDType(dtype, [&](auto zero) HWY_ATTR {
    using T = decltype(zero);
    PackColumnPanel(reinterpret_cast<const T* const*>(rows), k, 1.0f, PanelColumns(), dst);
  });
}

// One vector of a finished tile: n values (at most a vector) from column c on.
template <class T>
HWY_INLINE void FinishVector(const Epilogue& e, VF x, int64_t c, T* dst, size_t n) {
  const DF d;
  const bool full = n == hn::Lanes(d);
  const auto vector = [&](const float* p)
                          HWY_ATTR { return full ? LoadF(d, p + c) : LoadPart(d, p + c, n); };
  if (e.bias != nullptr) x = hn::Add(x, vector(e.bias));
  x = Activated(d, e.act, x);
  if (e.accumulate) {
    const VF before = full ? LoadF(d, dst) : LoadPart(d, dst, n);
    x = e.gate != nullptr ? hn::MulAdd(vector(e.gate), x, before) : hn::Add(x, before);
  }
  if (full) {
    StoreF(x, d, dst);
  } else {
    StorePart(x, d, dst, n);
  }
}

// The tile's rows and columns that exist go to dst.
template <class T>
HWY_NOINLINE void FinishTile(const ProductBlock& p, const float* tile, int64_t row,
                             int64_t column) {
  const DF d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t rows = HWY_MIN(p.rows - row, int64_t{kPanelRows});
  const int64_t columns = HWY_MIN(p.columns - column, PanelColumns());
  for (int64_t r = 0; r < rows; ++r) {
    T* dst = static_cast<T*>(p.dst) + (row + r) * p.dst_stride + column;
    const float* src = tile + r * PanelColumns();
    for (int64_t c = 0; c < columns; c += lanes) {
      const size_t n = static_cast<size_t>(HWY_MIN(lanes, columns - c));
      FinishVector(p.epilogue, hn::Load(d, src + c), column + c, dst + c, n);
    }
  }
}

// Column panels outside (one stays in the first cache), row panels inside.
template <class T>
void ComputeBlockTo(const ProductBlock& p) {
  const int64_t width = PanelColumns();
  HWY_ALIGN float local[kPanelRows * kMaxPanelColumns];
  for (int64_t column = 0; column < p.columns; column += width) {
    const float* b = p.b + column * p.k;
    for (int64_t row = 0; row < p.rows; row += kPanelRows) {
      const float* a = p.a + row * p.k;
      const bool only = p.first && p.last;
      float* tile = only ? local : p.sums + column / width * p.sums_stride + row * width;
      if (p.first) {
        MicroKernel<false>(p.k, a, b, tile, width);
      } else {
        MicroKernel<true>(p.k, a, b, tile, width);
      }
      if (p.last) FinishTile<T>(p, tile, row, column);
    }
  }
}

void ComputeBlockHere(const ProductBlock& p) {
  if (p.dst_dtype == DType::kBF16) {
    ComputeBlockTo<BF16>(p);
  } else {
    ComputeBlockTo<float>(p);
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kontext::cpu {

HWY_EXPORT(PanelColumnsHere);
HWY_EXPORT(PackRowPanelHere);
HWY_EXPORT(PackColumnPanelHere);
HWY_EXPORT(ComputeBlockHere);

int64_t PanelColumns() { return HWY_DYNAMIC_DISPATCH(PanelColumnsHere)(); }
void PackRowPanel(const void* const* rows, DType dtype, int64_t k, float* dst) {
  HWY_DYNAMIC_DISPATCH(PackRowPanelHere)(rows, dtype, k, dst);
}
void PackColumnPanel(const void* const* rows, DType dtype, int64_t k, float* dst) {
  HWY_DYNAMIC_DISPATCH(PackColumnPanelHere)(rows, dtype, k, dst);
}
void ComputeBlock(const ProductBlock& block) { HWY_DYNAMIC_DISPATCH(ComputeBlockHere)(block); }

}  // namespace kontext::cpu
#endif  // HWY_ONCE
