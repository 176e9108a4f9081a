// The stages that encoder and decoder are made of (spec architecture 4). Each takes the activations
// from run.x() and leaves its own there; a planning run only takes the buffers.
#ifndef KONTEXT_VAE_STAGES_H_
#define KONTEXT_VAE_STAGES_H_

#include <cstdint>

#include "compute/ops.h"
#include "vae/run.h"
#include "vae/vae.h"

namespace kontext {

// 3x3, same size: of every convolution but the downsampler's and the shortcut's.
inline constexpr ConvOptions kSame3x3{.stride = 1, .pad_begin = 1, .pad_end = 1};

// The vectors of a half's weights in the sizes the config asks for; their elements empty.
void SizeVae(const VaeConfig& config, VaeWeights& weights);

// The first convolution: src [h,w,N] F32 -> [h,w,channels].
void ConvIn(VaeRun& run, const ConvPtr& conv, ConstTensorView src, int64_t channels);
// [h,w,C] -> [h,w,channels].  BFL autoencoder.py ResnetBlock
void Resnet(VaeRun& run, const ResnetWeights& w, int64_t channels);
// Resnet, attention over all pixels, Resnet: [h,w,C] -> [h,w,C].
Status Mid(VaeRun& run, const MidWeights& w);
// The last normalisation and convolution: run.x() [h,w,C] -> dst [h,w,N] F32, not in A.
void ConvOut(VaeRun& run, const VaeHalfWeights& w, TensorView dst);
// dst = scale * src + shift, one number each.                    src [P,z], a column range; dst
// [P,z] F32
void ScaleAndShift(VaeRun& run, ConstTensorView src, float scale, float shift, TensorView dst);

// The halves themselves; while planning, pictures and latents need no memory.
Status RunEncoder(VaeRun& run, const VaeHalfWeights& w, ConstTensorView picture,
                  TensorView latents);
Status RunDecoder(VaeRun& run, const VaeHalfWeights& w, ConstTensorView latents,
                  TensorView picture);

}  // namespace kontext

#endif  // KONTEXT_VAE_STAGES_H_
