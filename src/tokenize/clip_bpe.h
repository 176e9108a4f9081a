// CLIP's byte-level BPE: text -> ids, as Hugging Face's fast CLIPTokenizer makes them.
#ifndef KONTEXT_TOKENIZE_CLIP_BPE_H_
#define KONTEXT_TOKENIZE_CLIP_BPE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kontext {

// What a tokenizer made of a prompt.
struct TokenIds {
  std::vector<int32_t> ids;  // with specials and padding, ready for the encoder
  int used = 0;              // how many are the prompt's own, specials included, before padding
  int dropped = 0;           // how many of the prompt's tokens did not fit
  std::string dropped_text;  // roughly the text that was cut, for the user; empty if nothing was
};

class ClipBpe {
 public:
  // `folder` holds vocab.json and merges.txt, or tokenizer.json.
  static Result<ClipBpe> Load(const std::string& folder);
  ~ClipBpe();
  ClipBpe(ClipBpe&&) noexcept;
  ClipBpe& operator=(ClipBpe&&) noexcept;

  // BOS + at most length-2 ids + EOS, padded with EOS to `length` (77). Not valid UTF-8: kBadInput.
  Result<TokenIds> Encode(std::string_view text, int length) const;

  int vocab_size() const;
  int32_t eos_id() const;

 private:
  struct Impl;
  explicit ClipBpe(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_CLIP_BPE_H_
