// SentencePiece's precompiled normalisation: a double-array trie from character sequences to their
// replacements, as spiece.model and tokenizer.json carry it (spec tokenizers B.3).
#ifndef KONTEXT_TOKENIZE_PRECOMPILED_CHARSMAP_H_
#define KONTEXT_TOKENIZE_PRECOMPILED_CHARSMAP_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kontext {

class PrecompiledCharsmap {
 public:
  PrecompiledCharsmap() = default;  // replaces nothing
  // u32 bytes of the trie, its u32 units, then replacements that each end in a NUL; little endian.
  // An empty blob replaces nothing.
  static Result<PrecompiledCharsmap> Parse(std::string_view blob, const std::string& what);

  // `text` with every replacement made, by Hugging Face's rule: whole extended grapheme clusters of
  // less than six bytes first, then single code points, each time the shortest match.
  Result<std::string> Apply(std::string_view text) const;

 private:
  // What to put for the shortest match at the start of `key`, if anything matches.
  std::optional<std::string_view> Find(std::string_view key) const;
  void ApplyToCluster(std::string_view cluster, std::string* out) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_PRECOMPILED_CHARSMAP_H_
