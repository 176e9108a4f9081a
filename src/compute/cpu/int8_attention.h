// Attention in 8 bits (ops.h, Precision::kInt8): the streaming softmax of attention.h on the tiles
// of int8_tile.h. Both products are transposed, S^T = K Q^T and O^T = V^T P^T: scores come out with
// a query in each lane, and four keys' probabilities of a query make the 32-bit lane that the
// second product reads, so nothing is shuffled.
#ifndef KONTEXT_COMPUTE_CPU_INT8_ATTENTION_H_
#define KONTEXT_COMPUTE_CPU_INT8_ATTENTION_H_

#include <cstdint>

#include "base/status.h"
#include "compute/cpu/cpu_features.h"
#include "compute/cpu/workspace.h"
#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

// Body of Ops::Attention where both sides allow Precision::kInt8.
Status AttendInt8(Int8Path path, ConstTensorView q, ConstTensorView k, ConstTensorView v,
                  const AttentionOptions& o, TensorView dst, Workspace& space);
// The most it takes of the workspace: raises `bytes` to that.
void Int8AttentionSlots(int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                        SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_ATTENTION_H_
