// Conv2d and Conv2dAdd: oneDNN on pictures with the channel fastest, as they are, without im2col.
// Where the processor does not multiply bf16, bf16 pictures are widened on the way in and narrowed
// on the way out.
#include <utility>

#include "compute/cpu/cpu_ops.h"
#include "compute/cpu/elementwise.h"
#include "compute/cpu/parallel.h"
#include "tensor/arena.h"

namespace kontext::cpu {
namespace {

// Picture size for which oneDNN chooses the layout of packed weights; others use the same one.
constexpr int64_t kTypicalSide = 64;

Result<Tensor> ToF32(const ConstTensorView& view) {
  KX_ASSIGN_OR_RETURN(Tensor copy, Tensor::Allocate(DType::kF32, view.shape()));
  CopyAll(view, copy.view());
  return copy;
}

}  // namespace

class CpuConvWeights : public ConvWeights {
 public:
  using ConvWeights::ConvWeights;
  mutable onednn::Weights packed;  // new layouts may be added in use
  Tensor bias;                     // [N] F32
};

Result<std::unique_ptr<ConvWeights>> CpuOps::DoPrepareConv(ConstTensorView weight,
                                                           ConstTensorView bias) {
  auto w = std::make_unique<CpuConvWeights>(weight.dim(0), weight.dim(1), weight.dim(2));
  KX_ASSIGN_OR_RETURN(w->bias, ToF32(bias));
  KX_ASSIGN_OR_RETURN(const Tensor dense, ToF32(weight));
  const auto type = plan_.path == ProductPath::kLibrary ? onednn::Type::kBF16 : onednn::Type::kF32;
  const int pad = static_cast<int>(w->kernel / 2);
  const onednn::ConvSpec spec{.h = kTypicalSide + w->kernel,
                              .w = kTypicalSide + w->kernel,
                              .in = w->in_channels,
                              .out = w->out_channels,
                              .kernel = w->kernel,
                              .pad_begin = pad,
                              .pad_end = pad,
                              .src = type,
                              .weights = type,
                              .dst = type,
                              .threads = omp_get_max_threads()};
  KX_ASSIGN_OR_RETURN(w->packed, library_.PackConv(spec, dense.view().As<float>()));
  return std::unique_ptr<ConvWeights>(std::move(w));
}

Status CpuOps::Convolution(ConstTensorView src, const ConvWeights& weights, const ConvOptions& o,
                           const ConstTensorView& residual, const TensorView& dst) {
  const auto& w = static_cast<const CpuConvWeights&>(weights);
  const bool native = plan_.path == ProductPath::kLibrary;
  const auto type = native ? onednn::Type::kBF16 : onednn::Type::kF32;
  KX_ASSIGN_OR_RETURN(src, As(native ? DType::kBF16 : DType::kF32, src));
  TensorView result = dst;
  if (dst.dtype() != DType::kF32) {  // sums stay in f32 until the store
    KX_ASSIGN_OR_RETURN(float* memory, space_.Floats(Slot::kResult, dst.shape().NumElements()));
    result = ViewOf(memory, dst.shape());
  }
  if (!residual.empty() && residual.data() != result.data()) CopyAll(residual, result);
  const onednn::ConvSpec spec{.h = src.dim(0),
                              .w = src.dim(1),
                              .in = w.in_channels,
                              .out = w.out_channels,
                              .kernel = w.kernel,
                              .stride = o.stride,
                              .pad_begin = o.pad_begin,
                              .pad_end = o.pad_end,
                              .src = type,
                              .weights = type,
                              .dst = onednn::Type::kF32,
                              .accumulate = !residual.empty(),
                              .threads = omp_get_max_threads()};
  KX_RETURN_IF_ERROR(library_.Convolve(spec, src.data(), w.packed, w.bias.view().As<float>(),
                                       result.data(), space_));
  if (result.data() != dst.data()) CopyAll(result, dst);
  return Status();
}

void CpuOps::DoConv2d(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                      TensorView dst) {
  Keep(Convolution(src, w, o, ConstTensorView(), dst));
}

void CpuOps::DoConv2dAdd(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                         ConstTensorView residual, TensorView dst) {
  Keep(Convolution(src, w, o, residual, dst));
}

}  // namespace kontext::cpu
