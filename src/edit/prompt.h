// The instruction -> what the transformer reads of it: T5 states and CLIP's pooled vector.
#ifndef KONTEXT_EDIT_PROMPT_H_
#define KONTEXT_EDIT_PROMPT_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "edit/likes.h"
#include "model/model.h"
#include "tensor/arena.h"
#include "tensor/observer.h"

namespace kontext {

// The ids of a prompt, cut and padded by the profile's rule.
struct PromptIds {
  std::vector<int32_t> clip;       // [77]
  std::vector<int32_t> t5;         // [Tt]
  std::vector<float> t5_weights;   // [Tt], or empty where the profile knows none
  int64_t t5_chunk = 0;            // how many T5 ids are encoded together
  bool weighted = false;           // a weight is not 1
  std::vector<std::string> notes;  // what did not fit
};
Result<PromptIds> TokenizePrompt(const Model& model, const std::string& text,
                                 const LikeProfile& like);

struct Prompt {
  Tensor states;  // [Tt, context] F32
  Tensor pooled;  // [vec] F32
};
// Reads the text encoders' weights from their files, and lets them go afterwards.
Result<std::shared_ptr<const Prompt>> EncodePrompt(const Model& model, const PromptIds& ids,
                                                   const LikeProfile& like, Ops& ops,
                                                   Observer* observer);

}  // namespace kontext

#endif  // KONTEXT_EDIT_PROMPT_H_
