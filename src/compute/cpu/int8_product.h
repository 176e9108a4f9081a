// The product of activations with a weight matrix in 8 bits (ops.h, Precision::kInt8).
#ifndef KONTEXT_COMPUTE_CPU_INT8_PRODUCT_H_
#define KONTEXT_COMPUTE_CPU_INT8_PRODUCT_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "compute/cpu/cpu_features.h"
#include "compute/cpu/int8_weights.h"
#include "compute/cpu/norm.h"
#include "compute/cpu/panels.h"
#include "compute/cpu/workspace.h"
#include "tensor/view.h"

namespace kontext::cpu {

struct Int8Product {
  ConstTensorView src;            // [T,K]
  const RowNorm* norm = nullptr;  // of its rows, if they are to be normed
  const std::vector<Int8Weights::Part>& weight;
  ConstTensorView branches;  // [T,N] F32 to be added before the activation, or empty
  Epilogue epilogue;
  TensorView dst;  // [T,N]
};
Status MultiplyInt8(Int8Path path, const Int8Product& product, Workspace& space);
// The most it takes of the workspace: raises `bytes` to that.
void Int8ProductSlots(Int8Path path, int64_t rows, int64_t depth, int64_t columns,
                      SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_PRODUCT_H_
