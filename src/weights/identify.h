// Identify: what a weight file is, by the names and shapes of its tensors (spec weights 11).
#ifndef KONTEXT_WEIGHTS_IDENTIFY_H_
#define KONTEXT_WEIGHTS_IDENTIFY_H_

#include <string>
#include <string_view>
#include <vector>

#include "weights/encodings.h"

namespace kontext {

enum class Family {
  kUnknown,
  kFluxTransformer,
  kFluxVae,
  kClip,
  kT5,
  kAllInOne,  // a transformer and its autoencoder or text encoders in one file
  kLora,
  kOtherModel,  // FLUX.2, Stable Diffusion, ...
};

struct Identity {
  Family family = Family::kUnknown;
  // As the end of "it looks like ...": "FLUX.1 Fill (img_in takes 384 channels)"; empty if unknown.
  std::string description;
  std::string layout;  // "BFL", "Diffusers", "Hugging Face": whose names; empty if several
  // Which networks of a model the file holds: any of kFluxTransformer, kClip, kT5, kFluxVae.
  std::vector<Family> parts;
  // What to get or do instead, if no part of FLUX.1 Kontext [dev] can be this; empty if one can.
  std::string instead;
  bool is_adapter = false;  // one for FLUX.1, of use beside a model
  bool fits() const { return instead.empty() && !parts.empty(); }
  bool Holds(Family part) const;
};

Identity Identify(const WeightMap& tensors);

// The encoding that most of the parameters have: "BF16", "Q4_K".
std::string MainEncoding(const WeightMap& tensors);

// The names of a file, asked by their ends or by what they contain, so that prefixes do not matter.
class TensorNames {
 public:
  explicit TensorNames(const WeightMap& tensors) : tensors_(tensors) {}
  // The tensor called `end`, or ending in it after a dot; null if there is none.
  const WeightRows* EndingWith(std::string_view end) const;
  bool AnyContains(std::string_view part) const;
  // Dimension i of the tensor EndingWith(end), 0 if there is none.
  int64_t Dim(std::string_view end, int i) const;

 private:
  const WeightMap& tensors_;
};

// A model that is not FLUX.1 at all, and what to get instead (identify_other.cc).
struct OtherModel {
  std::string_view contains;     // what a tensor's name contains in this model and in no other
  std::string_view description;  // as in Identity
};
// Null if the names are of none that we know.
const OtherModel* FindOtherModel(const TensorNames& names);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_IDENTIFY_H_
