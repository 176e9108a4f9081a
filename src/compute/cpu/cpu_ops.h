// CpuOps: the op manual's bodies for the "cpu" backend. Products are in linear.cc, convolutions in
// conv.cc; everything else hands over to the kernels of this folder (cpu_ops.cc).
#ifndef KONTEXT_COMPUTE_CPU_CPU_OPS_H_
#define KONTEXT_COMPUTE_CPU_CPU_OPS_H_

#include <memory>
#include <string_view>
#include <vector>

#include "compute/cpu/cpu_features.h"
#include "compute/cpu/int8_weights.h"
#include "compute/cpu/norm.h"
#include "compute/cpu/onednn.h"
#include "compute/cpu/panels.h"
#include "compute/cpu/product.h"
#include "compute/cpu/workspace.h"
#include "compute/ops.h"

namespace kontext::cpu {

class CpuLinearWeights;
class CpuConvWeights;

class CpuOps : public Ops {
 public:
  explicit CpuOps(const Plan& plan) : plan_(plan) {}

  std::string_view name() const override { return "cpu"; }
  DType activation_dtype() const override {
    return plan_.bf16_activations ? DType::kBF16 : DType::kF32;
  }
  int64_t ScratchBytes(std::span<const OpSizes> groups) const override;
  int64_t HeldScratchBytes() const override { return space_.held_bytes(); }
  int64_t PendingCopyBytes() const override {
    return precision() == Precision::kInt8 ? pending_int8_bytes_ : 0;
  }
  int64_t CopyBytesPerWeight() const override {
    return plan_.path == ProductPath::kLibrary ? SizeOf(activation_dtype()) : 1;
  }

 private:
  Result<std::unique_ptr<LinearWeights>> DoPrepareLinear(const LinearSource& source) override;
  Result<std::unique_ptr<ConvWeights>> DoPrepareConv(ConstTensorView weight,
                                                     ConstTensorView bias) override;
  void DoLinear(ConstTensorView src, const LinearWeights& w, Activation act,
                TensorView dst) override;
  void DoAttention(ConstTensorView q, ConstTensorView k, ConstTensorView v,
                   const AttentionOptions& o, TensorView dst) override;
  void DoLayerNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias, float eps,
                   TensorView dst) override;
  void DoRmsNorm(ConstTensorView src, ConstTensorView weight, float eps, TensorView dst) override;
  void DoGroupNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias, int groups,
                   float eps, Activation act, TensorView dst) override;
  void DoRope(ConstTensorView src, ConstTensorView rope, TensorView dst) override;
  void DoConv2d(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                TensorView dst) override;
  void DoUpsample2x(ConstTensorView src, TensorView dst) override;
  void DoActivate(ConstTensorView src, Activation act, TensorView dst) override;
  void DoAdd(ConstTensorView a, ConstTensorView b, TensorView dst) override;
  void DoMultiply(ConstTensorView a, ConstTensorView b, TensorView dst) override;
  void DoGatedAdd(ConstTensorView src, ConstTensorView gate, TensorView dst) override;
  void DoCopy(ConstTensorView src, TensorView dst) override;
  void DoGatherRows(ConstTensorView table, ConstTensorView ids, TensorView dst) override;
  void DoLinearGatedAdd(ConstTensorView src, const LinearWeights& w, ConstTensorView gate,
                        TensorView dst) override;
  void DoModulatedLinear(ConstTensorView src, const RowModulation& m, const LinearWeights& w,
                         Activation act, TensorView dst) override;
  void DoModulatedMlp(TensorView operand, const RowModulation& m, const LinearWeights& in,
                      const LinearWeights& out, ConstTensorView gate, TensorView dst) override;
  void DoSplitHeadsNormRope(ConstTensorView src, ConstTensorView norm, float eps,
                            ConstTensorView rope, TensorView dst) override;
  void DoConv2dAdd(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                   ConstTensorView residual, TensorView dst) override;
  void DoNormConv2d(ConstTensorView src, const PictureNorm& norm, const ConvWeights& w,
                    ConstTensorView residual, TensorView dst) override;
  void DoUpsampleConv2d(ConstTensorView src, const ConvWeights& w, TensorView dst) override;

  void Keep(Status status) {
    if (!status.ok()) Fail(std::move(status));
  }
  // linear.cc
  Status Product(const ConstTensorView& src, const LinearWeights& w, const Epilogue& epilogue,
                 const TensorView& dst);
  Status Int8(const ConstTensorView& src, const RowNorm* norm, const CpuLinearWeights& w,
              const Epilogue& epilogue, const TensorView& dst);
  Result<const std::vector<Int8Weights::Part>*> KeptParts(const CpuLinearWeights& w);
  // The rows of src in the dtype of activations, dense.
  Result<ConstTensorView> Normed(const ConstTensorView& src, const RowNorm& norm);
  bool RunsInInt8(const CpuLinearWeights& w) const;
  bool ByLibrary(const CpuLinearWeights& w) const;
  Status PackForLibrary(const CpuLinearWeights& w);
  Status LibraryProduct(ConstTensorView src, const CpuLinearWeights& w, const Epilogue& epilogue,
                        const TensorView& dst);
  // What is left to do with a product and its bias in f32: the branches, and the epilogue.
  Status FinishResult(const ConstTensorView& src, const CpuLinearWeights& w,
                      const Epilogue& epilogue, const TensorView& result, const TensorView& dst);
  // conv.cc: residual may be empty.
  Status Convolution(const ConstTensorView& src, const ConvWeights& w, const ConvOptions& o,
                     const ConstTensorView& residual, const TensorView& dst);
  Status EnlargedConvolution(const ConstTensorView& src, const CpuConvWeights& w,
                             const TensorView& dst);
  template <class RowsOf>
  Status ByBands(int64_t height, const CpuConvWeights& w, const ConvOptions& o,
                 const ConstTensorView& residual, const TensorView& dst, const RowsOf& rows_of);
  Status ConvolveBand(const ConstTensorView& src, const CpuConvWeights& w, int stride,
                      const Pads& pads, const ConstTensorView& residual, const TensorView& dst);
  Result<TensorView> Operand(int64_t rows, int64_t width, const CpuConvWeights& w, int stride,
                             const Pads& pads);
  Status LibraryConvolution(ConstTensorView src, const CpuConvWeights& w, int stride,
                            const Pads& pads, const ConstTensorView& residual,
                            const TensorView& dst);
  // `view` itself, or a dense copy of it in `dtype` where it is not that already.
  Result<ConstTensorView> As(DType dtype, const ConstTensorView& view);

  const Plan plan_;
  Workspace space_;
  int64_t pending_int8_bytes_ = 0;  // of prepared weights that have not been used in 8 bits yet
  int64_t largest_rank_ = 0;        // of the branches beside one prepared weight
  onednn::Library library_;
};

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_CPU_OPS_H_
