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

HWY_NOINLINE void FinishTileHere(const ProductBlock& p, const SumTile& tile, int64_t row,
                                 int64_t column) {
  const DF d;
  const int64_t rows = HWY_MIN(p.rows - row, tile.rows);
  const int64_t columns = HWY_MIN(p.columns - column, tile.columns);
  for (int64_t r = 0; r < rows; ++r) {
    const OutRow dst = RowOf(p.dst, RowOffset(p.dst, p.row + row + r) + p.column);
    const ConstTensorView& add = p.epilogue.addend;
    const InRow addend =
        add.empty() ? InRow{nullptr, DType::kF32} : RowOf(add, (row + r) * add.stride(0));
    const float* src = tile.sums + r * tile.columns;
    ByVectors(columns, [&](int64_t c, size_t n) HWY_ATTR {
      const VF x = hn::Load(d, src + c);
      StoreRow(Finished(p.epilogue, x, addend, column + c, n), dst, column + c, n);
    });
  }
}

// Column panels outside (one stays in the first cache), row panels inside.
void ComputeBlockHere(const ProductBlock& p) {
  const int64_t width = PanelColumns();
  const auto* a = reinterpret_cast<const float*>(p.a);
  const auto* b = reinterpret_cast<const float*>(p.b);
  HWY_ALIGN float local[kPanelRows * kMaxPanelColumns];
  for (int64_t column = 0; column < p.columns; column += width) {
    for (int64_t row = 0; row < p.rows; row += kPanelRows) {
      const bool only = p.first && p.last;
      float* tile = only ? local : p.sums + column / width * p.sums_stride + row * width;
      if (p.first) {
        MicroKernel<false>(p.k, a + row * p.k, b + column * p.k, tile, width);
      } else {
        MicroKernel<true>(p.k, a + row * p.k, b + column * p.k, tile, width);
      }
      if (p.last) FinishTileHere(p, {tile, kPanelRows, width}, row, column);
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
HWY_EXPORT(FinishTileHere);

int64_t PanelColumns() { return HWY_DYNAMIC_DISPATCH(PanelColumnsHere)(); }

namespace {

// Sizes (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication"): a column
// panel of one slice (24 x 256 floats, 24 KiB) lives in the first cache, a block of rows (96 x 256,
// 96 KiB) in the second, the rest of a chunk in the third. Measured: SPEED.md.
class F32Kernel : public PanelKernel {
 public:
  F32Kernel()
      : PanelKernel({.rows = kPanelRows,
                     .columns = PanelColumns(),
                     .granule = 1,
                     .slice = 256,
                     .block_rows = 96,
                     .value_bytes = SizeOf(DType::kF32)}) {}

  void PackRows(const void* const* rows, DType dtype, int64_t at, int64_t count, int64_t /*k*/,
                std::byte* panel) const override {
    HWY_DYNAMIC_DISPATCH(PackRowPanelHere)
    (rows, dtype, count, reinterpret_cast<float*>(panel) + at * kPanelRows);
  }
  void PackColumns(const void* const* rows, DType dtype, int64_t at, int64_t count,
                   std::byte* panel) const override {
    HWY_DYNAMIC_DISPATCH(PackColumnPanelHere)
    (rows, dtype, count, reinterpret_cast<float*>(panel) + at * sizes.columns);
  }
  void Compute(const ProductBlock& block) const override {
    HWY_DYNAMIC_DISPATCH(ComputeBlockHere)(block);
  }
};

}  // namespace

const PanelKernel& F32Panels() {
  static const F32Kernel kernel;
  return kernel;
}

void FinishTile(const ProductBlock& block, const SumTile& tile, int64_t row, int64_t column) {
  HWY_DYNAMIC_DISPATCH(FinishTileHere)(block, tile, row, column);
}

}  // namespace kontext::cpu
#endif  // HWY_ONCE
