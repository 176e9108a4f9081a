// A block's MLP in 8 bits (ops.h, Ops::ModulatedMlp). Between its two products lie 12288 numbers a
// token: a piece of them goes from the sums of the first through the GELU, the rotation and the
// rounding while it is in the second cache, and only digits are written.
#ifndef KONTEXT_COMPUTE_CPU_INT8_MLP_H_
#define KONTEXT_COMPUTE_CPU_INT8_MLP_H_

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

struct Int8Mlp {
  RowNorm norm;            // of dst's rows, which go in
  ConstTensorView beside;  // [T,A]: the columns before the hidden ones, A may be 0
  const std::vector<Int8Weights::Part>& in;   // [F,D]
  Epilogue in_epilogue;                       // of the hidden ones
  const std::vector<Int8Weights::Part>& out;  // [D,A+F]
  Epilogue out_epilogue;                      // its addend is dst
  TensorView dst;                             // [T,D]
};
// Not on AMX, where weights would pass the caches too often for what that saves (not measured).
// Slices of the second product's columns must be all of `beside` or all hidden.
bool Int8MlpTakes(Int8Path path, int64_t beside, int64_t in_parts);
Status MultiplyInt8Mlp(Int8Path path, const Int8Mlp& mlp, Workspace& space);
// The most it takes of the workspace, for rows of `in` columns and A+F: raises `bytes` to that.
void Int8MlpSlots(Int8Path path, int64_t rows, int64_t in, int64_t hidden, SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_MLP_H_
