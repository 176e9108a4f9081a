// Which file each part of a model comes from: a model directory, single files, or both.
#ifndef KONTEXT_MODEL_PARTS_H_
#define KONTEXT_MODEL_PARTS_H_

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "kontext/request.h"
#include "model/config.h"
#include "weights/identify.h"
#include "weights/weight_file.h"

namespace kontext {

// What the user named. `model` is a directory in Diffusers layout, or one file: a transformer
// alone or an all-in-one checkpoint; empty if all four parts are named. A part that is named
// replaces the model's.
struct ModelFiles {
  std::string model;
  std::string transformer = {}, vae = {}, clip = {}, t5 = {};
  // A folder with tokenizer/ and tokenizer_2/, for models that are no directory. Its config files,
  // if it has any, say what shapes cannot tell.
  std::string tokenizers = {};
  std::vector<LoraChoice> loras = {};
  bool merge_loras = false;  // into the weights, where they are decoded; else beside the products
};

// In the order in which they are loaded.
enum class Part { kClip, kT5, kVae, kTransformer };
inline constexpr std::array kParts = {Part::kClip, Part::kT5, Part::kVae, Part::kTransformer};

struct PartTraits {
  Family family;
  const char* flag;    // "--clip"
  const char* folder;  // of a model directory: "text_encoder"
  const char* name;    // "CLIP-L text encoder"
  const char* get;     // what people call the file, and where it is
};
const PartTraits& TraitsOf(Part part);

struct PartSource {
  std::string path;                  // as named, for messages
  const WeightFile* file = nullptr;  // several parts may have one
  bool in_directory = false;         // of `model`, so that its config file has the sizes
};

struct Parts {
  std::vector<std::unique_ptr<WeightFile>> files;
  std::array<PartSource, kParts.size()> sources;  // by Part
  std::string tokenizers;                         // folder of tokenizer/ and tokenizer_2/
  // Where vae/config.json and the like may be; what is not there are FLUX.1's constants.
  std::string configs;
  const PartSource& of(Part part) const { return sources[static_cast<size_t>(part)]; }
};

// Opens every file. kBadInput if one is not what it is named as (saying what it is), or naming all
// parts that are missing, with what to get.
Result<Parts> OpenParts(const ModelFiles& files);

// Reads sizes from the directory's config files or from the tensors' shapes.
struct PartConfigs {
  ClipConfig clip;
  T5Config t5;
  VaeConfig vae;
  DitConfig dit;
  SchedulerConfig scheduler;
  ModelDefaults defaults;
};
Result<PartConfigs> ReadPartConfigs(const Parts& parts);

}  // namespace kontext

#endif  // KONTEXT_MODEL_PARTS_H_
