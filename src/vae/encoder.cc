// Picture -> latents. Source: BFL = flux modules/autoencoder.py; spec architecture 4.
#include <string>

#include "vae/stages.h"

namespace kontext {
namespace {

// BFL Downsample.forward: one row of zeros below and one column to the right, none above or to the
// left; [h,w,C] -> [h/2,w/2,C]
void Downsample(VaeRun& run, const ConvPtr& conv) {
  constexpr ConvOptions kHalve{.stride = 2, .pad_begin = 0, .pad_end = 1};
  const TensorView x = run.x();
  const TensorView half = run.Take(Slot::kA, {x.dim(0) / 2, x.dim(1) / 2, x.dim(2)});
  if (run.ops() != nullptr) run.ops()->Conv2d(x, *conv, kHalve, half);
  run.SetXFrom(Slot::kA, half);
}

}  // namespace

// BFL Encoder.forward, then AutoEncoder.encode without sampling.
Status RunEncoder(VaeRun& run, const VaeHalfWeights& w, ConstTensorView picture,
                  TensorView latents) {
  const VaeConfig& c = run.config();
  ConvIn(run, w.conv_in, picture, c.channels.front());  // [H,W,3] -> [H,W,c0]
  KX_RETURN_IF_ERROR(run.Check());
  run.Show("vae.conv_in", run.x());

  for (size_t i = 0; i < w.level.size(); ++i) {
    for (const ResnetWeights& block : w.level[i].block) {
      Resnet(run, block, c.channels[i]);
      KX_RETURN_IF_ERROR(run.Check());
    }
    if (i + 1 < w.level.size()) Downsample(run, w.level[i].resample);
    KX_RETURN_IF_ERROR(run.Check());
    run.Show("vae.down" + std::to_string(i), run.x());
  }
  KX_RETURN_IF_ERROR(Mid(run, w.mid));
  run.Show("vae.mid", run.x());

  const int64_t h = run.x().dim(0), width = run.x().dim(1), z = c.latent_channels;
  const TensorView moments = run.Take(Slot::kB, DType::kF32, {h, width, 2 * z});
  ConvOut(run, w, moments);
  KX_RETURN_IF_ERROR(run.Check());
  run.Show("vae.moments", moments);

  // The mean is the first half of the moments: (mean - shift) * scale
  ScaleAndShift(run, moments.Reshaped({h * width, 2 * z}).Cols(0, z), c.scaling_factor,
                -c.shift_factor * c.scaling_factor, latents.Reshaped({h * width, z}));
  KX_RETURN_IF_ERROR(run.Check());
  run.Show("vae.encode", latents);
  return Status();
}

Status EncodeLatents(const VaeConfig& config, const VaeWeights& weights, ConstTensorView picture,
                     Ops& ops, Observer* observer, TensorView latents) {
  const int64_t f = config.factor();
  KX_RETURN_IF_ERROR(CheckInput("picture", picture, config.in_channels, f));
  KX_ENSURE(latents.dtype() == DType::kF32 && latents.IsDense() &&
            latents.shape() ==
                Shape({picture.dim(0) / f, picture.dim(1) / f, config.latent_channels}));
  KX_ENSURE(weights.encoder.level.size() == config.channels.size());
  VaeRun plan(config, ops.activation_dtype());
  KX_RETURN_IF_ERROR(RunEncoder(plan, weights.encoder, picture, latents));
  KX_ASSIGN_OR_RETURN(VaeRun run, VaeRun::Create(plan, ops, observer));
  return RunEncoder(run, weights.encoder, picture, latents);
}

int64_t EncodeBytes(const VaeConfig& config, int64_t height_px, int64_t width_px,
                    DType activations) {
  VaeWeights sizes;
  SizeVae(config, sizes);
  VaeRun plan(config, activations);
  const TensorView picture(nullptr, DType::kF32, {height_px, width_px, config.in_channels});
  const TensorView latents(
      nullptr, DType::kF32,
      {height_px / config.factor(), width_px / config.factor(), config.latent_channels});
  return RunEncoder(plan, sizes.encoder, picture, latents).ok() ? plan.bytes() : 0;
}

}  // namespace kontext
