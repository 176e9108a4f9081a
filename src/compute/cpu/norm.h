// The norms over the last dimension, and the splitting of heads with norm and rotation.
#ifndef KONTEXT_COMPUTE_CPU_NORM_H_
#define KONTEXT_COMPUTE_CPU_NORM_H_

#include <cstdint>
#include <vector>

#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

// What a row becomes: (row - mean) / sqrt(var + eps) * weight + bias, where
struct RowNorm {
  float eps = 0;
  bool centred = true;            // false: mean is taken as 0 (RmsNorm)
  const float* weight = nullptr;  // null: 1
  const float* bias = nullptr;    // null: 0
  bool weight_plus_one = false;   // modulation: the factor is 1 + weight
};
void NormalizeRows(const ConstTensorView& src, const RowNorm& norm, const TensorView& dst);

// dst[h,t,:] = Rope(RmsNorm(src[h,t,:])), either step left out where its table is null.
struct HeadsCall {
  ConstTensorView src;  // [H,T,Dh], any strides
  TensorView dst;       // [H,T,Dh]
  float eps = 0;
  const float* norm = nullptr;  // [Dh]
  const float* rope = nullptr;  // [T,Dh/2,2], (cos, sin)
};
void NormAndRotateHeads(const HeadsCall& call);

// GroupNorm of src [h,w,C], dense: dst = act((src - mean) * factor + bias) per channel.
struct GroupFactors {
  std::vector<float> mean, factor;  // [C]
};
GroupFactors FactorsOf(const ConstTensorView& src, const PictureNorm& norm);
// Pixels [begin, end) of src -> dst, dense, which begins with the first of them.
void NormalizePixels(const ConstTensorView& src, const PictureNorm& norm,
                     const GroupFactors& factors, int64_t begin, int64_t end,
                     const TensorView& dst);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_NORM_H_
