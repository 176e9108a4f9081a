// The instruction -> what the transformer reads of it: T5 states and CLIP's pooled vector.
#ifndef KONTEXT_EDIT_PROMPT_H_
#define KONTEXT_EDIT_PROMPT_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "edit/likes.h"
#include "model/model.h"
#include "tensor/arena.h"
#include "tensor/observer.h"

namespace kontext {

struct Prompt {
  std::vector<int32_t> clip_ids;   // [77]
  std::vector<int32_t> t5_ids;     // [Tt]
  Tensor states;                   // [Tt, context] F32
  Tensor pooled;                   // [vec] F32
  std::vector<std::string> notes;  // what did not fit
};

Result<Prompt> EncodePrompt(const Model& model, const std::string& text, const LikeProfile& like,
                            Ops& ops, Observer* observer);

}  // namespace kontext

#endif  // KONTEXT_EDIT_PROMPT_H_
