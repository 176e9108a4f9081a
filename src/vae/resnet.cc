// The residual block, and the first and last convolutions of a half.
// Source: BFL = flux modules/autoencoder.py; spec architecture 4.
#include <vector>

#include "vae/stages.h"

namespace kontext {

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
  const TensorView normed_x = run.Take(Slot::kA, x.shape());
  const TensorView h = run.Take(Slot::kB, out);
  const TensorView normed_h = run.Take(Slot::kA, out);
  const TensorView sum = shortcut ? h : x;  // [h,w,channels], h itself is used up by then
  if (Ops* ops = run.ops(); ops != nullptr) {
    const int groups = static_cast<int>(c.groups);
    ops->GroupNorm(x, w.norm1_weight.view(), w.norm1_bias.view(), groups, c.eps, Activation::kSilu,
                   normed_x);
    ops->Conv2d(normed_x, *w.conv1, kSame3x3, h);
    ops->GroupNorm(h, w.norm2_weight.view(), w.norm2_bias.view(), groups, c.eps, Activation::kSilu,
                   normed_h);
    if (shortcut) {
      constexpr ConvOptions k1x1{.stride = 1, .pad_begin = 0, .pad_end = 0};
      ops->Conv2d(x, *w.nin_shortcut, k1x1, sum);
    }
    ops->Conv2dAdd(normed_h, *w.conv2, kSame3x3, sum, sum);
  }
  if (shortcut) run.SetXFrom(Slot::kB, sum);
}

// BFL Encoder.forward and Decoder.forward, "end": conv_out(silu(norm_out(h)))
void ConvOut(VaeRun& run, const VaeHalfWeights& w, TensorView dst) {
  const VaeConfig& c = run.config();
  const TensorView x = run.x();
  const TensorView normed = run.Take(Slot::kA, x.shape());
  Ops* ops = run.ops();
  if (ops == nullptr) return;
  ops->GroupNorm(x, w.norm_out_weight.view(), w.norm_out_bias.view(), static_cast<int>(c.groups),
                 c.eps, Activation::kSilu, normed);
  ops->Conv2d(normed, *w.conv_out, kSame3x3, dst);
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
