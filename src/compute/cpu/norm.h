// The norms over the last dimension, and the splitting of heads with norm and rotation.
#ifndef KONTEXT_COMPUTE_CPU_NORM_H_
#define KONTEXT_COMPUTE_CPU_NORM_H_

#include <cstdint>

#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

// dst = (src - mean) / sqrt(var + eps) * weight + bias per row, where
struct NormCall {
  ConstTensorView src;
  TensorView dst;
  float eps = 0;
  bool centred = true;            // false: mean is taken as 0 (RmsNorm)
  const float* weight = nullptr;  // null: 1
  const float* bias = nullptr;    // null: 0
  bool weight_plus_one = false;   // modulation: the factor is 1 + weight
};
void NormalizeRows(const NormCall& call);

// dst[h,t,:] = Rope(RmsNorm(src[h,t,:])), either step left out where its table is null.
struct HeadsCall {
  ConstTensorView src;  // [H,T,Dh], any strides
  TensorView dst;       // [H,T,Dh]
  float eps = 0;
  const float* norm = nullptr;  // [Dh]
  const float* rope = nullptr;  // [T,Dh/2,2], (cos, sin)
};
void NormAndRotateHeads(const HeadsCall& call);

struct GroupNormCall {
  ConstTensorView src;  // [h,w,C]
  TensorView dst;
  const float* weight;
  const float* bias;
  int64_t groups;
  float eps;
  Activation act;
};
void NormalizeGroups(const GroupNormCall& call);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_NORM_H_
