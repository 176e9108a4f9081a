// Panels: the forms in which our own matrix product reads its operands, so that its inner loop
// walks both from front to back. Rows and columns beyond the matrix are zeros, and so is k beyond
// the slice. PanelKernel is such a form with its inner loop; there are two.
#ifndef KONTEXT_COMPUTE_CPU_PANELS_H_
#define KONTEXT_COMPUTE_CPU_PANELS_H_

#include <cstddef>
#include <cstdint>

#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

constexpr int kPanelRows = 4;
constexpr int kMaxPanelColumns = 64;  // of AMX; the others have three vectors, 48 at most
constexpr int kMaxPanelRows = 32;     // of AMX

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t RoundUp(int64_t n, int64_t multiple) { return CeilDiv(n, multiple) * multiple; }

// What becomes of a finished product p [rows, columns]:  x = act(p + bias);  dst = x, or with an
// addend dst = gate * x + addend, where the addend may be dst itself.
struct Epilogue {
  const float* bias = nullptr;  // per column, or null
  Activation act = Activation::kNone;
  const float* gate = nullptr;  // per column, or null (1)
  ConstTensorView addend{};     // [rows, columns], or empty
};

// A block of a product over one slice of k.
struct ProductBlock {
  const std::byte* a = nullptr;  // row panels, one after the other
  const std::byte* b = nullptr;  // column panels, one after the other
  int64_t rows = 0, columns = 0, k = 0;
  // Sums of the slices so far, tile by tile: [column panel][row panel][rows][columns], the column
  // panels `sums_stride` floats apart. Unused when the first slice is the last, too.
  float* sums = nullptr;
  int64_t sums_stride = 0;
  bool first = true, last = true;
  // How the result is finished in the last slice, and where it goes: rows from `row` on of `dst`, a
  // matrix or a picture [h,w,N] of any strides whose pixels are the rows, from `column` on.
  Epilogue epilogue;  // its vectors and addend begin at this block's first column and row
  TensorView dst;
  int64_t row = 0, column = 0;
};

// What a product is cut into.
struct PanelSizes {
  int64_t rows, columns;  // of a row panel, of a column panel
  int64_t granule;        // values of k that lie together: a panel is as long as a multiple of it
  int64_t slice;          // the deepest slice of k
  int64_t block_rows;     // that stay in the second cache while all columns pass
  int64_t value_bytes;    // of a packed value

  int64_t RowPanelBytes(int64_t k) const { return rows * RoundUp(k, granule) * value_bytes; }
  int64_t ColumnPanelBytes(int64_t k) const { return columns * RoundUp(k, granule) * value_bytes; }
};

class PanelKernel {
 public:
  const PanelSizes sizes;

  // Values [at, at + count) of k of each row of a panel `k` long, from rows[r] (null: zeros) of
  // dtype F32, BF16 or F16. `rows` has sizes.rows or sizes.columns entries; `at` is a multiple of
  // 256 for columns. Panels are 64-byte aligned.
  virtual void PackRows(const void* const* rows, DType dtype, int64_t at, int64_t count, int64_t k,
                        std::byte* panel) const = 0;
  virtual void PackColumns(const void* const* rows, DType dtype, int64_t at, int64_t count,
                           std::byte* panel) const = 0;
  virtual void Compute(const ProductBlock& block) const = 0;

 protected:
  explicit PanelKernel(const PanelSizes& s) : sizes(s) {}
  ~PanelKernel() = default;
};

// In bf16 on AMX (amx_panels.cc), only where PlanFor allows it:
//   row panel     32 rows       [k/32][32][32]
//   column panel  64 columns    [k/32][4][16][16][2], pairs of k side by side
const PanelKernel& AmxPanels();

// In f32, on every processor:
//   row panel     4 rows        [k][4]
//   column panel  3 vectors     [k][columns], 12 to 48 of them
const PanelKernel& F32Panels();
// Of its column panels, on this processor.
int64_t PanelColumns();

// Sums of a part of a block, `columns` floats from row to row.
struct SumTile {
  const float* sums;
  int64_t rows, columns;
};
// The tile's rows and columns that exist, finished, go to dst; it begins at (row, column) of the
// block.
void FinishTile(const ProductBlock& block, const SumTile& tile, int64_t row, int64_t column);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_PANELS_H_
