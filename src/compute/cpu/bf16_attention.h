// Attention on processors that multiply bf16 natively (AVX512_BF16, and AMX beside it): the
// streaming softmax of attention.h on pairs of bf16 numbers.
#ifndef KONTEXT_COMPUTE_CPU_BF16_ATTENTION_H_
#define KONTEXT_COMPUTE_CPU_BF16_ATTENTION_H_

#include <cstdint>

#include "base/status.h"
#include "compute/cpu/workspace.h"
#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

// Whether AttendBf16 can: BF16 operands, no bias, no mask, scale > 0, and whole registers of
// channels.
bool Bf16AttentionTakes(const ConstTensorView& q, const ConstTensorView& k,
                        const ConstTensorView& v, const AttentionOptions& o);
// Body of Ops::Attention there. Probabilities are rounded to bf16; scores, sums and dst are f32.
// `amx`: by AMX, only where AmxAttentionTakes its channels.
Status AttendBf16(bool amx, ConstTensorView q, ConstTensorView k, ConstTensorView v,
                  const AttentionOptions& o, TensorView dst, Workspace& space);
// The most it takes of the workspace: raises `bytes` to that.
void Bf16AttentionSlots(bool amx, int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                        SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_BF16_ATTENTION_H_
