// The autoencoder's weight table, by BFL's names.
// Source: BFL = flux modules/autoencoder.py Encoder.__init__, Decoder.__init__; spec weights 3.
#include <string>

#include "vae/stages.h"

namespace kontext {
namespace {

void VisitNorm(const std::string& name, VectorWeights& weight, VectorWeights& bias,
               int64_t channels, WeightVisitor& v) {
  v.Vector(name + ".weight", weight, channels);
  v.Vector(name + ".bias", bias, channels);
}

void VisitResnet(const std::string& p, ResnetWeights& w, int64_t in, int64_t out,
                 WeightVisitor& v) {
  VisitNorm(p + ".norm1", w.norm1_weight, w.norm1_bias, in, v);
  v.Conv(p + ".conv1", w.conv1, out, in, 3);
  VisitNorm(p + ".norm2", w.norm2_weight, w.norm2_bias, out, v);
  v.Conv(p + ".conv2", w.conv2, out, out, 3);
  if (in != out) v.Conv(p + ".nin_shortcut", w.nin_shortcut, out, in, 1);
}

void VisitMid(const std::string& p, MidWeights& w, int64_t channels, WeightVisitor& v) {
  VisitResnet(p + ".block_1", w.block_1, channels, channels, v);
  VisitNorm(p + ".attn_1.norm", w.attn_1.norm_weight, w.attn_1.norm_bias, channels, v);
  v.Linear(p + ".attn_1.q", w.attn_1.q, channels, channels, Bias::kYes);
  v.Linear(p + ".attn_1.k", w.attn_1.k, channels, channels, Bias::kYes);
  v.Linear(p + ".attn_1.v", w.attn_1.v, channels, channels, Bias::kYes);
  v.Linear(p + ".attn_1.proj_out", w.attn_1.proj_out, channels, channels, Bias::kYes);
  VisitResnet(p + ".block_2", w.block_2, channels, channels, v);
}

// Finest level first; a level begins with the channels of the one before.
void VisitEncoder(const VaeConfig& c, VaeHalfWeights& w, WeightVisitor& v) {
  int64_t channels = c.channels.front();
  v.Conv("encoder.conv_in", w.conv_in, channels, c.in_channels, 3);
  for (size_t i = 0; i < w.level.size(); ++i) {
    const std::string p = "encoder.down." + std::to_string(i);
    for (size_t j = 0; j < w.level[i].block.size(); ++j) {
      VisitResnet(p + ".block." + std::to_string(j), w.level[i].block[j], channels, c.channels[i],
                  v);
      channels = c.channels[i];
    }
    if (i + 1 < w.level.size())
      v.Conv(p + ".downsample.conv", w.level[i].resample, channels, channels, 3);
  }
  VisitMid("encoder.mid", w.mid, channels, v);
  VisitNorm("encoder.norm_out", w.norm_out_weight, w.norm_out_bias, channels, v);
  v.Conv("encoder.conv_out", w.conv_out, 2 * c.latent_channels, channels,
         3);  // mean and log variance
}

// Coarsest level first, which BFL calls up.<last>; Diffusers' up_blocks.0.
void VisitDecoder(const VaeConfig& c, VaeHalfWeights& w, WeightVisitor& v) {
  int64_t channels = c.channels.back();
  v.Conv("decoder.conv_in", w.conv_in, channels, c.latent_channels, 3);
  VisitMid("decoder.mid", w.mid, channels, v);
  for (size_t i = w.level.size(); i-- > 0;) {
    const std::string p = "decoder.up." + std::to_string(i);
    for (size_t j = 0; j < w.level[i].block.size(); ++j) {
      VisitResnet(p + ".block." + std::to_string(j), w.level[i].block[j], channels, c.channels[i],
                  v);
      channels = c.channels[i];
    }
    if (i > 0) v.Conv(p + ".upsample.conv", w.level[i].resample, channels, channels, 3);
  }
  VisitNorm("decoder.norm_out", w.norm_out_weight, w.norm_out_bias, channels, v);
  v.Conv("decoder.conv_out", w.conv_out, c.in_channels, channels, 3);
}

}  // namespace

void SizeVae(const VaeConfig& c, VaeWeights& w) {
  w.encoder.level.resize(c.channels.size());
  w.decoder.level.resize(c.channels.size());
  for (LevelWeights& level : w.encoder.level)
    level.block.resize(static_cast<size_t>(c.blocks_per_level));
  for (LevelWeights& level : w.decoder.level) {
    level.block.resize(static_cast<size_t>(c.blocks_per_level) + 1);
  }
}

void VisitVae(const VaeConfig& config, VaeWeights& weights, WeightVisitor& visitor) {
  SizeVae(config, weights);
  VisitEncoder(config, weights.encoder, visitor);
  VisitDecoder(config, weights.decoder, visitor);
}

}  // namespace kontext
