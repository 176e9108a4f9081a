// Latents -> picture. Source: BFL = flux modules/autoencoder.py; spec architecture 4.
#include <string>

#include "vae/stages.h"

namespace kontext {
namespace {

// BFL Upsample.forward: nearest, then a 3x3 convolution; [h,w,C] -> [2h,2w,C]
void Upsample(VaeRun& run, const ConvPtr& conv) {
  const TensorView x = run.x();
  const TensorView out = run.Take(Slot::kA, {2 * x.dim(0), 2 * x.dim(1), x.dim(2)});
  if (Ops* ops = run.ops(); ops != nullptr) ops->UpsampleConv2d(x, *conv, out);
  run.SetXFrom(Slot::kA, out);
}

}  // namespace

// AutoEncoder.decode, then BFL Decoder.forward.
Status RunDecoder(VaeRun& run, const VaeHalfWeights& w, ConstTensorView latents,
                  TensorView picture) {
  const VaeConfig& c = run.config();
  // latents / scale + shift
  const int64_t positions = latents.dim(0) * latents.dim(1), z = c.latent_channels;
  const TensorView unscaled = run.Take(Slot::kA, DType::kF32, latents.shape());  // [h,w,z]
  ScaleAndShift(run, latents.Reshaped({positions, z}), 1.0f / c.scaling_factor, c.shift_factor,
                unscaled.Reshaped({positions, z}));
  ConvIn(run, w.conv_in, unscaled, c.channels.back());  // [h,w,z] -> [h,w,cL]
  KX_RETURN_IF_ERROR(run.Check());
  run.Show("vae.decode.conv_in", run.x());
  KX_RETURN_IF_ERROR(Mid(run, w.mid));
  run.Show("vae.decode.mid", run.x());

  for (size_t i = w.level.size(); i-- > 0;) {
    for (const ResnetWeights& block : w.level[i].block) {
      Resnet(run, block, c.channels[i]);
      KX_RETURN_IF_ERROR(run.Check());
    }
    if (i > 0) Upsample(run, w.level[i].resample);
    KX_RETURN_IF_ERROR(run.Check());
    run.Show("vae.decode.up" + std::to_string(i), run.x());
  }
  ConvOut(run, w, picture);
  KX_RETURN_IF_ERROR(run.Check());
  run.Show("vae.decode", picture);
  return Status();
}

Status DecodeLatents(const VaeConfig& config, const VaeWeights& weights, ConstTensorView latents,
                     Ops& ops, Observer* observer, TensorView picture) {
  const int64_t f = config.factor();
  KX_RETURN_IF_ERROR(CheckInput("latents", latents, config.latent_channels, 1));
  KX_ENSURE(picture.dtype() == DType::kF32 && picture.IsDense() &&
            picture.shape() == Shape({latents.dim(0) * f, latents.dim(1) * f, config.in_channels}));
  KX_ENSURE(weights.decoder.level.size() == config.channels.size());
  VaeRun plan(config, ops.activation_dtype());
  KX_RETURN_IF_ERROR(RunDecoder(plan, weights.decoder, latents, picture));
  KX_ASSIGN_OR_RETURN(VaeRun run, VaeRun::Create(plan, ops, observer));
  return RunDecoder(run, weights.decoder, latents, picture);
}

int64_t DecodeBytes(const VaeConfig& config, int64_t height_px, int64_t width_px,
                    DType activations) {
  VaeWeights sizes;
  SizeVae(config, sizes);
  VaeRun plan(config, activations);
  const TensorView picture(nullptr, DType::kF32, {height_px, width_px, config.in_channels});
  const TensorView latents(
      nullptr, DType::kF32,
      {height_px / config.factor(), width_px / config.factor(), config.latent_channels});
  return RunDecoder(plan, sizes.decoder, latents, picture).ok() ? plan.bytes() : 0;
}

}  // namespace kontext
