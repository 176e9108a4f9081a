// The product of activations with a weight matrix, in f32 arithmetic on weights that stay as the
// checkpoint has them: F32, BF16 or F16 rows are widened on their way into the packed panels.
#ifndef KONTEXT_COMPUTE_CPU_PRODUCT_H_
#define KONTEXT_COMPUTE_CPU_PRODUCT_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "compute/cpu/panels.h"
#include "compute/cpu/workspace.h"
#include "tensor/view.h"

namespace kontext::cpu {

// A matrix [rows, columns] given as one or several dense matrices of one dtype, stacked by rows.
class StackedRows {
 public:
  // The views must share dtype and column count, and outlive this.
  explicit StackedRows(std::vector<ConstTensorView> parts);

  int64_t rows() const { return rows_; }
  int64_t columns() const { return parts_.front().dim(1); }
  DType dtype() const { return parts_.front().dtype(); }
  // out[i] = row begin + i from column `column` on, null past the last row; i < count.
  void Pointers(int64_t begin, int64_t count, int64_t column, const void** out) const;

 private:
  std::vector<ConstTensorView> parts_;
  int64_t rows_ = 0;
};

// src [T,K] by weight [N,K], finished by `epilogue` into dst [T,N]: see Epilogue.
Status Multiply(ConstTensorView src, const StackedRows& weight, const Epilogue& epilogue,
                TensorView dst, Workspace& space);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_PRODUCT_H_
