// A model, opened: sizes, tokenizers and the weights of all four networks.
#ifndef KONTEXT_MODEL_MODEL_H_
#define KONTEXT_MODEL_MODEL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "dit/dit_weights.h"
#include "model/adapters.h"
#include "model/parts.h"
#include "model/variant.h"
#include "text/clip_encoder.h"
#include "text/t5_encoder.h"
#include "tokenize/clip_bpe.h"
#include "tokenize/t5_unigram.h"
#include "vae/vae.h"
#include "weights/residency.h"
#include "weights/weight_file.h"

namespace kontext {

struct Model {
  Model(ClipBpe clip, T5Unigram t5) : clip_tokens(std::move(clip)), t5_tokens(std::move(t5)) {}

  ModelDefaults defaults;
  std::string fingerprint;
  ToldVariant variant;  // Kontext or dev, as far as files say
  SchedulerConfig scheduler;

  ClipBpe clip_tokens;
  ClipConfig clip_config;
  ClipWeights clip;

  T5Unigram t5_tokens;
  T5Config t5_config;
  T5Weights t5;

  VaeConfig vae_config;
  VaeWeights vae;

  DitConfig dit_config;
  DitWeights dit;

  // The mapped files; the weights above may point into them, and into the adapters'.
  Adapters adapters;
  std::vector<std::unique_ptr<WeightFile>> files;
  std::vector<std::string> paths;  // of all mapped files

  // The pages of those files: CLIP's, and of the two networks that may be larger than memory.
  WeightSpans clip_pages;
  std::unique_ptr<Residency> t5_pages, dit_pages;
  std::string text_fingerprint;  // of the text encoders' files
  // After a prompt: nothing of the text encoders stays in memory.
  void ReleaseTextEncoders() const;
};

// Reads every part, or says everything that is wrong with the first bad one.
// Copies of weights in a form that the backend likes better are made only where they fit into three
// quarters of `memory_limit` bytes (0: of what is free); never of the text encoders, which are used
// once a prompt.
Result<std::unique_ptr<Model>> OpenModel(const ModelFiles& files, Ops& ops,
                                         int64_t memory_limit = 0);

}  // namespace kontext

#endif  // KONTEXT_MODEL_MODEL_H_
