// From a stretch of prompt to the words that T5's unigram model divides: normaliser and
// pre-tokenizer of a tokenizer.json (spec tokenizers B.1, B.2).
#ifndef KONTEXT_TOKENIZE_T5_PRETOKENIZE_H_
#define KONTEXT_TOKENIZE_T5_PRETOKENIZE_H_

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "io/json.h"
#include "tokenize/precompiled_charsmap.h"

namespace kontext {

struct StripRule {
  bool left = false;
  bool right = false;
};
struct ReplaceRule {  // every run of at least `least` times `pattern`; least 1: every occurrence
  std::string pattern;
  size_t least = 1;
  std::string content;
};
using NormalizeRule = std::variant<PrecompiledCharsmap, StripRule, ReplaceRule>;

struct WhitespaceSplitRule {};
struct MetaspaceRule {
  enum class Prepend { kAlways, kFirst, kNever };
  std::string replacement;
  Prepend prepend = Prepend::kFirst;
  bool split = true;
};
using SplitRule = std::variant<WhitespaceSplitRule, MetaspaceRule>;

class T5Pretokenizer {
 public:
  // What FLUX.1's tokenizer.json says, for a spiece.model that has only the character map: strip
  // the end, join spaces, "▁" at the start of the prompt and for each space.
  static T5Pretokenizer ForSentencePiece(PrecompiledCharsmap charsmap);
  // The "normalizer" and "pre_tokenizer" of a tokenizer.json; null is none.
  static Result<T5Pretokenizer> FromJson(const Json& normalizer, const Json& pre_tokenizer,
                                         const std::string& what);

  // The words of `text`, which has no added tokens; `at_start` if it begins the prompt.
  Result<std::vector<std::string>> Split(std::string_view text, bool at_start) const;

 private:
  std::vector<NormalizeRule> normalize_;
  std::vector<SplitRule> split_;
};

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_T5_PRETOKENIZE_H_
