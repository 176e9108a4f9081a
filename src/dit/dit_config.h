// The sizes of a FLUX transformer. Read from config.json; the defaults are FLUX.1 Kontext [dev]'s
// (BFL util.py, configs["flux-dev-kontext"]).
#ifndef KONTEXT_DIT_DIT_CONFIG_H_
#define KONTEXT_DIT_DIT_CONFIG_H_

#include <array>
#include <cstdint>

#include "base/status.h"

namespace kontext {

inline constexpr int64_t kTimestepChannels = 256;  // of the sinusoids (BFL model.py:99)

struct DitConfig {
  int64_t in_channels = 64;  // 16 latent channels x 2 x 2
  int64_t out_channels = 64;
  int64_t vec = 768;                           // CLIP pooled
  int64_t context = 4096;                      // T5 states
  int64_t hidden = 3072;                       // D
  int64_t heads = 24;                          // H
  int64_t mlp = 12288;                         // F = 4 D
  int64_t depth = 19;                          // double-stream blocks
  int64_t depth_single = 38;                   // single-stream blocks
  std::array<int64_t, 3> axes = {16, 56, 56};  // rope channels per position axis; their sum is Dh
  double theta = 10000.0;
  bool guidance = true;  // guidance_in present (schnell has none)

  int64_t head_dim() const { return hidden / heads; }  // Dh
};

// kBadInput if the sizes contradict each other or are beyond anything that could be meant.
Status CheckDitConfig(const DitConfig& config);

}  // namespace kontext

#endif  // KONTEXT_DIT_DIT_CONFIG_H_
