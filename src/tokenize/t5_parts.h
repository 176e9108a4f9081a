// A T5 tokenizer's parts in the order of their work: added tokens, words, pieces.
#ifndef KONTEXT_TOKENIZE_T5_PARTS_H_
#define KONTEXT_TOKENIZE_T5_PARTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "io/json.h"
#include "tokenize/added_tokens.h"
#include "tokenize/t5_pretokenize.h"
#include "tokenize/unigram_model.h"

namespace kontext {

// All tokens of a prompt, without the final </s>.
struct T5Tokens {
  std::vector<int32_t> ids;
  std::vector<size_t> begin;  // where each begins in `text`
  std::string text;           // the normalised prompt
};

struct T5Parts {
  AddedTokens added;
  T5Pretokenizer pretokenizer;
  UnigramModel model;
  int32_t eos = 1;
  int32_t pad = 0;
  int vocab_size = 0;

  Result<T5Tokens> Tokenize(std::string_view text) const;
};

// `root`: a tokenizer.json.
Result<T5Parts> T5FromTokenizerJson(const Json& root, const std::string& what);
// `bytes`: a spiece.model. `config`: its tokenizer_config.json, for the extra ids; may be an empty
// object.
Result<T5Parts> T5FromSentencePiece(std::string_view bytes, const Json& config,
                                    const std::string& what);

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_T5_PARTS_H_
