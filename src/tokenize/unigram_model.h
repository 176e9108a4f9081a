// The unigram model of a T5 tokenizer: the likeliest division of a word into vocabulary pieces.
#ifndef KONTEXT_TOKENIZE_UNIGRAM_MODEL_H_
#define KONTEXT_TOKENIZE_UNIGRAM_MODEL_H_

#include <cstddef>
#include <cstdint>
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

// Piece and score (log probability), by id.
using UnigramVocab = std::vector<std::pair<std::string, double>>;

class UnigramModel {
 public:
  UnigramModel() = default;  // no pieces
  static Result<UnigramModel> Make(UnigramVocab vocab, int64_t unk_id, const std::string& what);

  // Appends the pieces of one word of UTF-8, left to right; neighbours that no piece covers are one
  // unknown piece. Scores are added in double, as Hugging Face does it: SentencePiece's floats
  // decide some ties otherwise.
  void Segment(std::string_view word, std::vector<PieceSpan>* pieces) const;
  int32_t Find(std::string_view piece) const;  // -1 when there is none
  int size() const { return static_cast<int>(vocab_.size()); }

 private:
  const std::string& Piece(int32_t id) const { return vocab_[static_cast<size_t>(id)].first; }
  // Calls f(id, bytes) for every piece that `text` begins with, shortest first.
  template <class F>
  void ForEachPrefix(std::string_view text, const F& f) const;

  UnigramVocab vocab_;
  int32_t unk_id_ = -1;
  double unk_score_ = 0;
  std::vector<int32_t> sorted_;  // ids in the order of their pieces' bytes
};

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_UNIGRAM_MODEL_H_
