// The unigram model of a T5 tokenizer: the likeliest division of a word into vocabulary pieces.
#ifndef KONTEXT_TOKENIZE_PIECE_MODEL_H_
#define KONTEXT_TOKENIZE_PIECE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace kontext {

struct PieceSpan {
  int32_t id;
  size_t begin;  // first byte, in the word
};

class PieceModel {
 public:
  virtual ~PieceModel() = default;
  // Appends the pieces of one word of UTF-8, left to right; neighbours that no piece covers are one
  // unknown piece.
  virtual Status Segment(std::string_view word, std::vector<PieceSpan>* pieces) const = 0;
  virtual int32_t Find(std::string_view piece) const = 0;  // -1 when there is none
  virtual int size() const = 0;
};

// From the pieces and scores of a tokenizer.json, by id.
Result<std::unique_ptr<PieceModel>> MakeUnigramModel(
    std::vector<std::pair<std::string, double>> vocab, int32_t unk_id, const std::string& what);

// From the bytes of a spiece.model, by the SentencePiece library; its normalisation is switched
// off. `charsmap` gets the character map that the file carries.
Result<std::unique_ptr<PieceModel>> MakeSentencePieceModel(std::string_view bytes,
                                                           const std::string& what,
                                                           std::string* charsmap);

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_PIECE_MODEL_H_
