// Attention with a streaming softmax (Milakov and Gimelshein 2018; Dao et al. 2022,
// "FlashAttention"): blocks of keys pass by a panel of queries, whose running maximum, sum and
// output are corrected as they go. All products are computed transposed, S^T = K Q^T and O^T = V^T
// P^T, so that a column panel of scores is already the right operand of the second product and
// maxima and sums run down columns, without a shuffle.
#ifndef KONTEXT_COMPUTE_CPU_ATTENTION_H_
#define KONTEXT_COMPUTE_CPU_ATTENTION_H_

#include <cstdint>

#include "base/status.h"
#include "compute/cpu/workspace.h"
#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

constexpr float kLog2E = 1.44269504f;  // exp(s) = 2^(s log2 e), as the softmaxes compute it

// Shapes and operands of one call, and where its packed forms lie.
struct AttentionCall {
  ConstTensorView q, k, v;  // [H,Tq,Dh], [H,Tk,Dh]
  AttentionOptions options;
  TensorView dst;  // [Tq,H*Dh]

  int64_t queries = 0, keys = 0, channels = 0;  // Tq, Tk, Dh
  int64_t block_keys = 0;                       // keys per step of the streaming softmax
  // Per head of a group: row panels of K [Tk/4][Dh][4], of V^T [Dh/4][Tk][4], and the relative bias
  // times log2(e), turned round so that it runs with the query: turned[Tk-1 - j + i].
  float* packed_k = nullptr;
  float* packed_v = nullptr;
  float* turned_bias = nullptr;
  int64_t k_stride = 0, v_stride = 0, bias_stride = 0;  // floats from head to head
};

// Heads are packed in groups: enough for all threads to have work, in tasks of so many queries, no
// more than that in memory.
int64_t HeadsPerGroup(int64_t heads, int64_t queries, int64_t task_queries, int threads);

// Status-returning body of Ops::Attention.
Status Attend(ConstTensorView q, ConstTensorView k, ConstTensorView v, const AttentionOptions& o,
              TensorView dst, Workspace& space);
// The most it takes of the workspace: raises `bytes` to that.
void AttentionSlots(int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                    SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_ATTENTION_H_
