// Between the two products of attention in 8 bits: scores into probabilities, and sums of
// probabilities times values into the output; for 16 queries and a block of keys.
#ifndef KONTEXT_COMPUTE_CPU_INT8_SOFTMAX_H_
#define KONTEXT_COMPUTE_CPU_INT8_SOFTMAX_H_

#include <cstdint>

#include "compute/cpu/int8_tile.h"
#include "tensor/view.h"

namespace kontext::cpu {

// What 16 queries carry from block to block; all [16] but for `out`. Aligned to 64 bytes.
struct Int8Queries {
  float* scale;   // of their digits, times log2(e) and the options' scale
  float* max;     // of the scores so far
  float* sum;     // of the probabilities so far, relative to max, times 255
  float* shrink;  // what the block makes of everything before it
  float* grow;    // and of its own sums
  float* out;     // O^T [Channels()][16], relative to max, times 255
};
// scores [count][16] (the tile's sums; overwritten) -> p [48][16][4], the probabilities relative to
// the block's largest in 0..255, unsigned. Keys past `count` are zeros.
void Probabilities(const float* k_scale, const int32_t* k_sums, int64_t count, int32_t* scores,
                   const Int8Queries& queries, int8_t* p);
// out = out * shrink + sums [channels][16] * v_scale * grow
void Accumulate(const int32_t* sums, const float* v_scale, int64_t channels,
                const Int8Queries& queries);
// out / sum -> `rows` rows of dst from `row` on, columns [column, column + channels). `poison` is
// added to every value: 0 or NaN.
void StoreQueries(const Int8Queries& queries, const float* poison, int64_t row, int64_t rows,
                  int64_t column, int64_t channels, float* scratch, const TensorView& dst);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_SOFTMAX_H_
