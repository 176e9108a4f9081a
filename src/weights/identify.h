// Identify: what a weight file is, by the names and shapes of its tensors.
#ifndef KONTEXT_WEIGHTS_IDENTIFY_H_
#define KONTEXT_WEIGHTS_IDENTIFY_H_

#include <string>

#include "weights/encodings.h"

namespace kontext {

enum class Family {
  kUnknown,
  kFluxTransformer,
  kFluxVae,
  kClip,
  kT5,
  kAllInOne,  // a FLUX transformer and its VAE or text encoders in one file
  kLora,
  kQuantised,   // SVDQuant, NF4 or scaled fp8: encodings that keep extra tensors per layer
  kOtherModel,  // FLUX.2, Stable Diffusion, ...
};

struct Identity {
  Family family = Family::kUnknown;
  // As the end of "it looks like ...": "FLUX.1 Fill (img_in takes 384 channels)"; empty if unknown.
  std::string description;
};

Identity Identify(const WeightMap& tensors);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_IDENTIFY_H_
