// Attention in bf16 on the registers of AMX, for heads of whole registers of channels.
#ifndef KONTEXT_COMPUTE_CPU_AMX_ATTENTION_H_
#define KONTEXT_COMPUTE_CPU_AMX_ATTENTION_H_

#include <cstdint>

#include "base/status.h"
#include "compute/cpu/workspace.h"
#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

constexpr bool AmxAttentionTakes(int64_t channels) { return channels % 32 == 0; }
// As AttendBf16 and Bf16AttentionSlots (bf16_attention.h).
Status AttendAmx(ConstTensorView q, ConstTensorView k, ConstTensorView v, const AttentionOptions& o,
                 TensorView dst, Workspace& space);
void AmxAttentionSlots(int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                       SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_AMX_ATTENTION_H_
