// The sizes of a network from the names and shapes of its tensors, for weight files that come
// without a config. What shapes cannot tell (CLIP's heads, the groups of the autoencoder's norms,
// every epsilon) is taken from `known`: the config of a model directory, or FLUX.1's constants.
#ifndef KONTEXT_MODEL_CONFIG_FROM_SHAPES_H_
#define KONTEXT_MODEL_CONFIG_FROM_SHAPES_H_

#include <string>

#include "base/status.h"
#include "dit/dit_config.h"
#include "text/clip_encoder.h"
#include "text/t5_encoder.h"
#include "vae/vae.h"
#include "weights/encodings.h"

namespace kontext {

// `tensors` may hold other networks as well. kBadInput, naming `file` and the tensors that are
// missing or contradict each other.
Result<DitConfig> DitConfigFromShapes(const WeightMap& tensors, const std::string& file);
Result<VaeConfig> VaeConfigFromShapes(const WeightMap& tensors, const std::string& file,
                                      const VaeConfig& known);
Result<ClipConfig> ClipConfigFromShapes(const WeightMap& tensors, const std::string& file,
                                        const ClipConfig& known);
Result<T5Config> T5ConfigFromShapes(const WeightMap& tensors, const std::string& file,
                                    const T5Config& known);

}  // namespace kontext

#endif  // KONTEXT_MODEL_CONFIG_FROM_SHAPES_H_
