// The autoencoder: picture <-> 16-channel latents at an eighth of its size (spec architecture 4).
#ifndef KONTEXT_VAE_VAE_H_
#define KONTEXT_VAE_VAE_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "tensor/observer.h"
#include "weights/table.h"

namespace kontext {

struct VaeConfig {
  int64_t in_channels = 3;
  int64_t latent_channels = 16;                          // z
  std::vector<int64_t> channels = {128, 256, 512, 512};  // per level, finest first
  int64_t blocks_per_level = 2;                          // encoder; the decoder has one more
  int64_t groups = 32;
  float eps = 1e-6f;
  float scaling_factor = 0.3611f;
  float shift_factor = 0.1159f;
  int64_t factor() const {
    return int64_t{1} << (channels.size() - 1);
  }  // 8: pixels per latent side
};

struct ResnetWeights {  // GN, silu, conv, GN, silu, conv, plus the input or its 1x1 projection
  VectorWeights norm1_weight, norm1_bias, norm2_weight, norm2_bias;
  ConvPtr conv1, conv2;
  ConvPtr nin_shortcut;  // null where the channel count stays
};
struct MidAttentionWeights {
  VectorWeights norm_weight, norm_bias;
  LinearPtr q, k, v, proj_out;  // 1x1 convolutions in BFL's file, Linears in Diffusers'
};
struct MidWeights {
  ResnetWeights block_1, block_2;
  MidAttentionWeights attn_1;
};
struct LevelWeights {
  std::vector<ResnetWeights> block;
  ConvPtr resample;  // downsample.conv or upsample.conv; null at the last level run
};
struct VaeHalfWeights {  // encoder or decoder; levels indexed as BFL does: 0 is the finest
  ConvPtr conv_in, conv_out;
  std::vector<LevelWeights> level;
  MidWeights mid;
  VectorWeights norm_out_weight, norm_out_bias;
};
struct VaeWeights {
  VaeHalfWeights encoder, decoder;
};

// Every tensor by its BFL name (encoder.down.0.block.0.norm1.weight,
// decoder.up.3.upsample.conv.weight, ...).
void VisitVae(const VaeConfig& config, VaeWeights& weights, WeightVisitor& visitor);

// picture [H,W,3] F32 in [-1,1], H and W multiples of factor() -> latents [H/8,W/8,z] F32: the mean
// of the posterior (never a sample), (mean - shift) * scale.
Status EncodeLatents(const VaeConfig& config, const VaeWeights& weights, ConstTensorView picture,
                     Ops& ops, Observer* observer, TensorView latents);

// latents [h,w,z] F32 -> picture [8h,8w,3] F32, about [-1,1] and not clamped.
Status DecodeLatents(const VaeConfig& config, const VaeWeights& weights, ConstTensorView latents,
                     Ops& ops, Observer* observer, TensorView picture);

// Bytes of activations one call needs, for plans.
int64_t EncodeBytes(const VaeConfig& config, int64_t height_px, int64_t width_px,
                    DType activations);
int64_t DecodeBytes(const VaeConfig& config, int64_t height_px, int64_t width_px,
                    DType activations);

}  // namespace kontext

#endif  // KONTEXT_VAE_VAE_H_
