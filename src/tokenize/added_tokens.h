// Tokens that are found in the text itself before any other rule runs: "</s>", "<extra_id_0>",
// "<|endoftext|>". As Hugging Face tokenizers' AddedVocabulary.
#ifndef KONTEXT_TOKENIZE_ADDED_TOKENS_H_
#define KONTEXT_TOKENIZE_ADDED_TOKENS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "io/json.h"

namespace kontext {

struct AddedToken {
  int32_t id = 0;
  bool normalized = false;  // sought in the normalised text, not in the raw one
  bool lstrip = false;      // swallows the white space before it
  bool rstrip = false;      // swallows the white space after it
};

// A stretch of text; or, when `id` is not negative, an added token.
struct TextPart {
  std::string_view text;
  int32_t id = -1;
};

class AddedTokens {
 public:
  // `list` is the "added_tokens" of a tokenizer.json.
  static Result<AddedTokens> FromList(const Json& list, const std::string& what);
  // `object` is the "added_tokens_decoder" of a tokenizer_config.json: id -> token.
  static Result<AddedTokens> FromDecoder(const Json& object, const std::string& what);

  // A second token of the same content is ignored.
  void Add(const std::string& content, const AddedToken& token);

  // Cuts the text at the tokens whose `normalized` is as given: leftmost first, then longest,
  // exact.
  std::vector<TextPart> Split(std::string_view text, bool normalized) const;

  const std::map<std::string, AddedToken, std::less<>>& tokens() const { return tokens_; }

 private:
  Status AddJson(const Json& token, int64_t id, const std::string& what);

  std::map<std::string, AddedToken, std::less<>> tokens_;
  std::map<char, std::vector<size_t>> lengths_;  // by first byte: the lengths in use, longest first
};

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_ADDED_TOKENS_H_
