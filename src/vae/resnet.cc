// The residual block, and the first and last convolutions of a half.
// Source: BFL = flux modules/autoencoder.py; spec architecture 4.
#include <vector>

#include "vae/stages.h"

namespace kontext {
namespace {

PictureNorm SiluNorm(const VaeConfig& c, const VectorWeights& weight, const VectorWeights& bias) {
  return {weight.view(), bias.view(), static_cast<int>(c.groups), c.eps, Activation::kSilu};
}

}  // namespace

void ConvIn(VaeRun& run, const ConvPtr& conv, ConstTensorView src, int64_t channels) {
  const TensorView x = run.Take(Slot::kX, {src.dim(0), src.dim(1), channels});
  run.SetX(x);
  if (run.ops() != nullptr) run.ops()->Conv2d(src, *conv, kSame3x3, x);
}

// BFL ResnetBlock.forward: h = conv1(silu(norm1(x))); h = conv2(silu(norm2(h))); shortcut(x) + h
void Resnet(VaeRun& run, const ResnetWeights& w, int64_t channels) {
  const VaeConfig& c = run.config();
  const TensorView x = run.x();  // [h,w,C]
  const Shape out{x.dim(0), x.dim(1), channels};
  const bool shortcut = x.dim(2) != channels;
  const TensorView h = run.Take(Slot::kB, out);
  const TensorView sum = shortcut ? run.Take(Slot::kA, out) : x;  // [h,w,channels]
  if (Ops* ops = run.ops(); ops != nullptr) {
    ops->NormConv2d(x, SiluNorm(c, w.norm1_weight, w.norm1_bias), *w.conv1, {}, h);
    if (shortcut) {
      constexpr ConvOptions k1x1{.stride = 1, .pad_begin = 0, .pad_end = 0};
      ops->Conv2d(x, *w.nin_shortcut, k1x1, sum);
    }
    ops->NormConv2d(h, SiluNorm(c, w.norm2_weight, w.norm2_bias), *w.conv2, sum, sum);
  }
  if (shortcut) run.SetXFrom(Slot::kA, sum);
}

// BFL Encoder.forward and Decoder.forward, "end": conv_out(silu(norm_out(h)))
void ConvOut(VaeRun& run, const VaeHalfWeights& w, TensorView dst) {
  if (run.ops() == nullptr) return;
  const PictureNorm norm = SiluNorm(run.config(), w.norm_out_weight, w.norm_out_bias);
  run.ops()->NormConv2d(run.x(), norm, *w.conv_out, {}, dst);
}

void ScaleAndShift(VaeRun& run, ConstTensorView src, float scale, float shift, TensorView dst) {
  Ops* ops = run.ops();
  if (ops == nullptr) return;
  const int64_t z = dst.dim(1);
  const std::vector<float> scales(static_cast<size_t>(z), scale);
  const std::vector<float> shifts(static_cast<size_t>(z), shift);
  ConstTensorView every_row = ViewOf(shifts.data(), dst.shape());
  every_row.SetStride(0, 0);
  ops->Copy(every_row, dst);
  ops->GatedAdd(src, ViewOf(scales.data(), {z}), dst);
}

}  // namespace kontext
