// What both text encoders ask of their ids, and of their observer between layers.
#ifndef KONTEXT_TEXT_IDS_H_
#define KONTEXT_TEXT_IDS_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/observer.h"

namespace kontext {

// 1..max_tokens ids, each a row of the vocabulary; `encoder` names it in the message.
inline Status CheckIds(std::string_view encoder, const std::vector<int32_t>& ids, int64_t vocab,
                       int64_t max_tokens) {
  if (ids.empty() || static_cast<int64_t>(ids.size()) > max_tokens) {
    return BadInput("{} was given {} tokens, expected 1..{}", encoder, ids.size(), max_tokens);
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab) {
      return BadInput(
          "{}: token {} is id {}, but the encoder's vocabulary has {} entries; does the tokenizer "
          "belong to this model?",
          encoder, i, ids[i], vocab);
    }
  }
  return Status();
}

inline Status CheckCancelled(Observer* observer, std::string_view where) {
  if (observer == nullptr || !observer->Cancelled()) return Status();
  return Status(Code::kCancelled, fmt::format("cancelled in the {} text encoder", where));
}

}  // namespace kontext

#endif  // KONTEXT_TEXT_IDS_H_
