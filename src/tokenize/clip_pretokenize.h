// What happens to a prompt before CLIP's byte pairs are merged: normal form, lower case, pieces.
#ifndef KONTEXT_TOKENIZE_CLIP_PRETOKENIZE_H_
#define KONTEXT_TOKENIZE_CLIP_PRETOKENIZE_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kontext {

// Unicode NFC, each run of White_Space to one space, lower case per code point (spec tokenizers
// A.2).
Result<std::string> NormalizeForClip(std::string_view text);

// The matches, in order, of
//   's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
// in normalised text (spec tokenizers A.3). They are views into it.
std::vector<std::string_view> SplitForClip(std::string_view normalized);

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_CLIP_PRETOKENIZE_H_
