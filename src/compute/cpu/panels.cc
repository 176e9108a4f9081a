#include "compute/cpu/panels.h"

#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/panels.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/epilogue-inl.h"
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

// The tile's rows and columns that exist go to dst.
HWY_NOINLINE void FinishTile(const ProductBlock& p, const float* tile, int64_t row,
                             int64_t column) {
  const DF d;
  const int64_t rows = HWY_MIN(p.rows - row, int64_t{kPanelRows});
  const int64_t columns = HWY_MIN(p.columns - column, PanelColumns());
  for (int64_t r = 0; r < rows; ++r) {
    const OutRow dst = RowOf(p.dst, RowOffset(p.dst, p.row + row + r) + p.column);
    const ConstTensorView& add = p.epilogue.addend;
    const InRow addend =
        add.empty() ? InRow{nullptr, DType::kF32} : RowOf(add, (row + r) * add.stride(0));
    const float* src = tile + r * PanelColumns();
    ByVectors(columns, [&](int64_t c, size_t n) HWY_ATTR {
      const VF x = hn::Load(d, src + c);
      StoreRow(Finished(p.epilogue, x, addend, column + c, n), dst, column + c, n);
    });
  }
}

// Column panels outside (one stays in the first cache), row panels inside.
void ComputeBlockHere(const ProductBlock& p) {
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
      if (p.last) FinishTile(p, tile, row, column);
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
