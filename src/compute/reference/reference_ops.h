// The class behind MakeReferenceOps(); its methods are defined one file per family of ops.
#ifndef KONTEXT_COMPUTE_REFERENCE_REFERENCE_OPS_H_
#define KONTEXT_COMPUTE_REFERENCE_REFERENCE_OPS_H_

#include <memory>
#include <string_view>

#include "compute/ops.h"

namespace kontext {

class ReferenceOps : public Ops {
 public:
  explicit ReferenceOps(DType activations) : activations_(activations) {}
  std::string_view name() const override { return "reference"; }
  DType activation_dtype() const override { return activations_; }

 private:
  // linear.cc
  Result<std::unique_ptr<LinearWeights>> DoPrepareLinear(const LinearSource& source) override;
  void DoLinear(ConstTensorView src, const LinearWeights& w, Activation act,
                TensorView dst) override;
  // attention.cc
  void DoAttention(ConstTensorView q, ConstTensorView k, ConstTensorView v,
                   const AttentionOptions& o, TensorView dst) override;
  void DoRope(ConstTensorView src, ConstTensorView rope, TensorView dst) override;
  // norm.cc
  void DoLayerNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias, float eps,
                   TensorView dst) override;
  void DoRmsNorm(ConstTensorView src, ConstTensorView weight, float eps, TensorView dst) override;
  void DoGroupNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias, int groups,
                   float eps, Activation act, TensorView dst) override;
  // conv.cc
  Result<std::unique_ptr<ConvWeights>> DoPrepareConv(ConstTensorView weight,
                                                     ConstTensorView bias) override;
  void DoConv2d(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                TensorView dst) override;
  void DoUpsample2x(ConstTensorView src, TensorView dst) override;
  // elementwise.cc
  void DoActivate(ConstTensorView src, Activation act, TensorView dst) override;
  void DoAdd(ConstTensorView a, ConstTensorView b, TensorView dst) override;
  void DoMultiply(ConstTensorView a, ConstTensorView b, TensorView dst) override;
  void DoGatedAdd(ConstTensorView src, ConstTensorView gate, TensorView dst) override;
  void DoCopy(ConstTensorView src, TensorView dst) override;
  void DoGatherRows(ConstTensorView table, ConstTensorView ids, TensorView dst) override;

  DType activations_;
};

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REFERENCE_REFERENCE_OPS_H_
