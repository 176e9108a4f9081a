// Adapters: the LoRA files that the user put on a model, opened and understood, and what is to be
// said about them.
#ifndef KONTEXT_MODEL_ADAPTERS_H_
#define KONTEXT_MODEL_ADAPTERS_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/checkpoint.h"
#include "kontext/request.h"
#include "model/few_step.h"
#include "weights/adapted_source.h"

namespace kontext {

// A file with its strength; PEFT's adapter_config.json is read if it lies beside.
struct OpenAdapter {
  Adapter adapter;
  float strength = 1;
  const FewStep* few_step = nullptr;  // null: no distillation for few steps
  std::string sha256;
  Checkpoint file;  // keeps the numbers mapped
};

class Adapters {
 public:
  // kUsage for a strength that is no number of -100..100; kBadInput as ParseAdapter.
  static Result<Adapters> Open(const std::vector<LoraChoice>& choices, bool merge,
                               const AdapterNames& names);

  // `base` with all adapters on it, to be loaded at once; the adapters must outlive the weights.
  AdaptedSource On(TensorSource& base) const;
  const std::vector<std::unique_ptr<OpenAdapter>>& files() const { return files_; }
  bool merged() const { return merge_; }
  // Of the last one that is a distillation for few steps and on the model at all; null: none is.
  const FewStep* few_step() const;
  // For people, one line each: "ink.safetensors (kohya LoRA, strength 0.8): 288 of 304 keys used",
  // and what was not used and why.
  std::vector<std::string> Notes() const;

 private:
  std::vector<std::unique_ptr<OpenAdapter>> files_;
  bool merge_ = false;
};

}  // namespace kontext

#endif  // KONTEXT_MODEL_ADAPTERS_H_
