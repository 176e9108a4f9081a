// Conv2d and Conv2dAdd on pictures with the channel fastest, as they are, without im2col. Where the
// processor multiplies bf16 natively, oneDNN convolves; everywhere else it is our product on
// patches: oneDNN's AVX2 convolution reaches a third of the machine's rate in this layout
// (SPEED.md).
#include <utility>

#include "compute/cpu/cpu_ops.h"
#include "compute/cpu/elementwise.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/product.h"
#include "tensor/arena.h"

namespace kontext::cpu {
namespace {

// Picture size for which oneDNN chooses the layout of packed weights; others use the same one.
constexpr int64_t kTypicalSide = 64;

Result<Tensor> CopyOf(const ConstTensorView& view, DType dtype) {
  KX_ASSIGN_OR_RETURN(Tensor copy, Tensor::Allocate(dtype, view.shape()));
  CopyAll(view, copy.view());
  return copy;
}

// [N,C,k,k] seen as [N,k,k,C], the order of a patch.
ConstTensorView ChannelsLast(const ConstTensorView& w) {
  ConstTensorView v(w.data(), w.dtype(), {w.dim(0), w.dim(2), w.dim(3), w.dim(1)});
  v.SetStride(0, w.stride(0));
  v.SetStride(1, w.stride(2));
  v.SetStride(2, w.stride(3));
  v.SetStride(3, w.stride(1));
  return v;
}

// A dense picture [h,w,C] as a matrix [h*w,C].
template <class View>
View Pixels(const View& picture) {
  return picture.Reshaped({picture.dim(0) * picture.dim(1), picture.dim(2)});
}

}  // namespace

class CpuConvWeights : public ConvWeights {
 public:
  using ConvWeights::ConvWeights;
  Tensor rows;                     // kWiden: [N,k,k,C] in the checkpoint's dtype
  mutable onednn::Weights packed;  // kLibrary; new layouts may be added in use
  Tensor bias;                     // [N] F32
};

Result<std::unique_ptr<ConvWeights>> CpuOps::DoPrepareConv(ConstTensorView weight,
                                                           ConstTensorView bias) {
  auto w = std::make_unique<CpuConvWeights>(weight.dim(0), weight.dim(1), weight.dim(2));
  KX_ASSIGN_OR_RETURN(w->bias, CopyOf(bias, DType::kF32));
  if (plan_.path == ProductPath::kLibrary) {
    KX_ASSIGN_OR_RETURN(const Tensor dense, CopyOf(weight, DType::kF32));
    const int pad = static_cast<int>(w->kernel / 2);
    const onednn::ConvSpec spec{.h = kTypicalSide + w->kernel,
                                .w = kTypicalSide + w->kernel,
                                .in = w->in_channels,
                                .out = w->out_channels,
                                .kernel = w->kernel,
                                .pad_begin = pad,
                                .pad_end = pad,
                                .src = onednn::TypeOf(activation_dtype()),
                                .weights = onednn::TypeOf(activation_dtype()),
                                .threads = omp_get_max_threads()};
    KX_ASSIGN_OR_RETURN(w->packed, library_.PackConv(spec, dense.view().As<float>()));
  } else {
    KX_ASSIGN_OR_RETURN(w->rows, CopyOf(ChannelsLast(weight), weight.dtype()));
  }
  return std::unique_ptr<ConvWeights>(std::move(w));
}

Status CpuOps::LibraryConvolution(ConstTensorView src, const CpuConvWeights& w,
                                  const ConvOptions& o, const ConstTensorView& residual,
                                  const TensorView& dst) {
  KX_ASSIGN_OR_RETURN(src, As(activation_dtype(), src));
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
                              .src = onednn::TypeOf(activation_dtype()),
                              .weights = onednn::TypeOf(activation_dtype()),
                              .accumulate = !residual.empty(),
                              .threads = omp_get_max_threads()};
  KX_RETURN_IF_ERROR(library_.Convolve(spec, src.data(), w.packed, w.bias.view().As<float>(),
                                       result.data(), space_));
  if (result.data() != dst.data()) CopyAll(result, dst);
  return Status();
}

Status CpuOps::Convolution(const ConstTensorView& src, const ConvWeights& weights,
                           const ConvOptions& o, const ConstTensorView& residual,
                           const TensorView& dst) {
  const auto& w = static_cast<const CpuConvWeights&>(weights);
  if (plan_.path == ProductPath::kLibrary) return LibraryConvolution(src, w, o, residual, dst);
  Epilogue e{.bias = w.bias.view().As<float>()};
  if (!residual.empty()) e.addend = Pixels(residual);
  const StackedRows rows(
      {WeightRows(w.rows.view().Reshaped({w.out_channels, w.kernel * w.kernel * w.in_channels}))});
  return cpu::Multiply({{LeftRows::Patches(src, w.kernel, o), rows}}, e, Pixels(dst), space_);
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
