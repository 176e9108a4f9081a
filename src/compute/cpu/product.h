// The product of activations with a weight matrix, on weights that stay as the checkpoint has them:
// F32, BF16, F16 and encoded rows are converted on their way into the packed panels, to what the
// panels' kernel multiplies. Sums are f32.
// A convolution is the same product on the patches of a picture, which are packed from where they
// lie: no im2col matrix exists.
#ifndef KONTEXT_COMPUTE_CPU_PRODUCT_H_
#define KONTEXT_COMPUTE_CPU_PRODUCT_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "base/status.h"
#include "compute/cpu/cpu_features.h"
#include "compute/cpu/panels.h"
#include "compute/cpu/workspace.h"
#include "tensor/view.h"
#include "tensor/weight_rows.h"

namespace kontext::cpu {

// Rows of a product that one decoding of its weights serves: 28 blocks.
inline constexpr int64_t kChunkRows = 2688;

// Zeros around a picture, in rows and columns.
struct Pads {
  int64_t above = 0, below = 0, left = 0, right = 0;
};

// The left operand: rows made of `taps` pieces of `piece` neighbouring values each. A matrix [T,K]
// has one piece per row; the patch of a picture [h,w,C] has one piece of C values per place of the
// kernel.
class LeftRows {
 public:
  static LeftRows Matrix(ConstTensorView src);
  // The patches of a dense picture for a convolution, in row-major order of the result's pixels.
  static LeftRows Patches(ConstTensorView src, int64_t kernel, int stride, const Pads& pads);
  // The 2x2 patches of a dense picture [h,w,C] that begin `above` rows above and `left` columns
  // left of each of its pixels, 0 or 1.
  static LeftRows Squares(ConstTensorView src, int64_t above, int64_t left);

  int64_t rows() const { return rows_; }
  int64_t taps() const { return kernel_ * kernel_; }
  int64_t piece() const { return piece_; }
  DType dtype() const { return src_.dtype(); }
  // Where piece `tap` of row `row` begins; null for one that lies in the padding: zeros.
  const std::byte* Piece(int64_t row, int64_t tap) const;

 private:
  ConstTensorView src_;
  int64_t rows_ = 0, piece_ = 0, kernel_ = 1, stride_ = 1, out_width_ = 0;
  int64_t above_ = 0, left_ = 0;  // padding
};

// A matrix [rows, columns] given as one or several matrices stacked by rows.
class StackedRows {
 public:
  // The parts must have one column count; the memory they refer to must outlive this.
  explicit StackedRows(std::vector<WeightRows> parts);

  const std::vector<WeightRows>& parts() const { return parts_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return parts_.front().dim(1); }
  // False if rows must be decoded before they are packed: they are encoded or of several dtypes.
  bool plain() const { return plain_; }
  // Packs `depth` columns from `column` on, of a column panel's worth of rows from row `begin` on
  // (zeros past the last). If not plain: `column` is a multiple of kGranule.
  void PackPanel(const PanelKernel& kernel, int64_t begin, int64_t column, int64_t depth,
                 std::byte* panel) const;

 private:
  std::vector<WeightRows> parts_;
  int64_t rows_ = 0;
  bool plain_ = true;
};

// One product of a sum of them, src [T,K] by weight [N,K]; K may differ from term to term.
struct ProductTerm {
  LeftRows src;
  const StackedRows& weight;
};
// The sum of the terms, at least one, finished by `epilogue` into dst, [T,N] or [h,w,N] of T pixels
// and any strides: see Epilogue.
Status Multiply(const PanelKernel& kernel, std::initializer_list<ProductTerm> terms,
                const Epilogue& epilogue, TensorView dst, Workspace& space);
// The kernel of a path that is not the library's.
const PanelKernel& PanelsFor(ProductPath path);
// The most it takes of the workspace for src [rows, depth] and a result [rows, columns]: raises
// `bytes` to that.
void ProductSlots(const PanelKernel& kernel, int64_t rows, int64_t depth, int64_t columns,
                  SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_PRODUCT_H_
