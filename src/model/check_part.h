// Does a weight file hold a whole part of a model? Its sizes from its shapes, and every tensor that
// the network of these sizes needs.
#ifndef KONTEXT_MODEL_CHECK_PART_H_
#define KONTEXT_MODEL_CHECK_PART_H_

#include <string>

#include "base/status.h"
#include "model/parts.h"

namespace kontext {

// The sizes by which parts must fit each other.
struct PartWidths {
  int64_t context = 0;  // transformer and T5: of a text state
  int64_t pooled = 0;   // transformer and CLIP
  int64_t latents = 0;  // transformer and autoencoder: channels
  int64_t vocab = 0;    // of a text encoder
};

// `configs`: a folder whose config files say what shapes cannot tell; empty for FLUX.1's constants.
Result<PartWidths> CheckPart(Part part, const WeightMap& tensors, const std::string& path,
                             const std::string& configs);

}  // namespace kontext

#endif  // KONTEXT_MODEL_CHECK_PART_H_
