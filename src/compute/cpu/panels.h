// Panels: the form in which our own matrix product reads its operands, so that its inner loop walks
// both from front to back.
//   row panel     4 rows        [k][4]         of the left operand
//   column panel  3 vectors     [k][columns]   of the right operand; columns = PanelColumns()
// Rows and columns beyond the matrix are zeros.
#ifndef KONTEXT_COMPUTE_CPU_PANELS_H_
#define KONTEXT_COMPUTE_CPU_PANELS_H_

#include <cstdint>

#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

constexpr int kPanelRows = 4;
constexpr int kMaxPanelColumns = 48;  // three vectors of AVX-512

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The columns of a panel on this processor.
int64_t PanelColumns();

// Packs k values of each row from rows[r] (null: zeros) of dtype F32, BF16 or F16. `rows` has 4 and
// PanelColumns() entries; dst is 64-byte aligned and takes 4 * k and PanelColumns() * k floats.
void PackRowPanel(const void* const* rows, DType dtype, int64_t k, float* dst);
void PackColumnPanel(const void* const* rows, DType dtype, int64_t k, float* dst);

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
  const float* a = nullptr;  // row panels, one after the other
  const float* b = nullptr;  // column panels, one after the other
  int64_t rows = 0, columns = 0, k = 0;
  // Sums of the slices so far, tile by tile: [column panel][row panel][4][PanelColumns()], the
  // column panels `sums_stride` floats apart. Unused when the first slice is the last, too.
  float* sums = nullptr;
  int64_t sums_stride = 0;
  bool first = true, last = true;
  // How the result is finished in the last slice, and where it goes: rows from `row` on of `dst`, a
  // matrix or a picture [h,w,N] of any strides whose pixels are the rows, from `column` on.
  Epilogue epilogue;  // its vectors and addend begin at this block's first column and row
  TensorView dst;
  int64_t row = 0, column = 0;
};
void ComputeBlock(const ProductBlock& block);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_PANELS_H_
