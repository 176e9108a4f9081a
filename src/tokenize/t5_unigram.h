// T5's SentencePiece unigram model: text -> ids, as Hugging Face's fast T5Tokenizer makes them.
#ifndef KONTEXT_TOKENIZE_T5_UNIGRAM_H_
#define KONTEXT_TOKENIZE_T5_UNIGRAM_H_

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "tokenize/clip_bpe.h"  // TokenIds

namespace kontext {

class T5Unigram {
 public:
  // `folder` holds spiece.model or tokenizer.json; spiece.model is preferred when both are there.
  static Result<T5Unigram> Load(const std::string& folder);
  ~T5Unigram();
  T5Unigram(T5Unigram&&) noexcept;
  T5Unigram& operator=(T5Unigram&&) noexcept;

  // At most length-1 ids + EOS (1), padded with 0 to `length`.
  Result<TokenIds> Encode(std::string_view text, int length) const;
  // All ids + EOS, neither cut nor padded.
  Result<TokenIds> EncodeWhole(std::string_view text) const;

  int vocab_size() const;
  // `model_max_length` of tokenizer_config.json; 512 where it is absent or absurd (> 100,000).
  int max_length() const;

 private:
  struct Impl;
  explicit T5Unigram(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_T5_UNIGRAM_H_
