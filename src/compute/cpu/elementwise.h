// Ops that treat every element alone: arithmetic, activations, copies.
#ifndef KONTEXT_COMPUTE_CPU_ELEMENTWISE_H_
#define KONTEXT_COMPUTE_CPU_ELEMENTWISE_H_

#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

enum class Arithmetic { kAdd, kMultiply };

void Combine(ConstTensorView a, ConstTensorView b, Arithmetic how, TensorView dst);
void ActivateAll(ConstTensorView src, Activation act, TensorView dst);
// dst += gate * src, gate [D] F32 or null (1).
void AddGated(ConstTensorView src, const float* gate, TensorView dst);
// Any strides, F32, BF16 or F16 on both sides.
void CopyAll(ConstTensorView src, TensorView dst);
void Gather(ConstTensorView table, const int32_t* ids, TensorView dst);
void UpsampleNearest2x(ConstTensorView src, TensorView dst);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_ELEMENTWISE_H_
