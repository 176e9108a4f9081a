// The Viterbi search of HF tokenizers models/unigram/model.rs (encode_optimized), spec tokenizers
// B.4.
#include "tokenize/unigram_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "io/json.h"
#include "tokenize/utf8.h"

namespace kontext {
namespace {

constexpr double kUnkPenalty = 10.0;     // model.rs K_UNK_PENALTY
constexpr size_t kMaxPieceBytes = 1024;  // SentencePiece's trainer makes at most 16 characters

struct Node {  // the best way to the byte where it stands
  double score = 0;
  size_t begin = SIZE_MAX;  // of its last piece; SIZE_MAX: no way leads here yet
  int32_t id = -1;
};

}  // namespace

Result<UnigramModel> UnigramModel::Make(UnigramVocab vocab, int64_t unk_id,
                                        const std::string& what) {
  if (unk_id < 0 || unk_id >= static_cast<int64_t>(vocab.size())) {
    return BadInput("{}: unk_id is {}, expected one of the {} pieces", what, unk_id, vocab.size());
  }
  UnigramModel m;
  double min_score = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < vocab.size(); ++i) {
    const auto& [piece, score] = vocab[i];
    // Pieces are whole characters, so a path never ends inside one.
    if (piece.empty() || piece.size() > kMaxPieceBytes || !IsUtf8(piece) || !std::isfinite(score)) {
      return BadInput(
          "{}: piece {} ({}, score {}) must be 1 to {} bytes of UTF-8 with a finite score", what, i,
          Quoted(piece), score, kMaxPieceBytes);
    }
    min_score = std::min(min_score, score);
  }
  m.vocab_ = std::move(vocab);
  m.unk_id_ = static_cast<int32_t>(unk_id);
  m.unk_score_ = min_score - kUnkPenalty;
  m.sorted_.resize(m.vocab_.size());
  std::iota(m.sorted_.begin(), m.sorted_.end(), 0);
  std::sort(m.sorted_.begin(), m.sorted_.end(),
            [&](int32_t a, int32_t b) { return m.Piece(a) < m.Piece(b); });
  for (size_t i = 1; i < m.sorted_.size(); ++i) {
    const int32_t a = m.sorted_[i - 1], b = m.sorted_[i];
    if (m.Piece(a) == m.Piece(b)) {
      return BadInput("{}: the pieces {} and {} are the same", what, std::min(a, b),
                      std::max(a, b));
    }
  }
  return m;
}

int32_t UnigramModel::Find(std::string_view piece) const {
  const auto it = std::lower_bound(sorted_.begin(), sorted_.end(), piece,
                                   [&](int32_t id, std::string_view p) { return Piece(id) < p; });
  return it != sorted_.end() && Piece(*it) == piece ? *it : -1;
}

template <class F>
void UnigramModel::ForEachPrefix(std::string_view text, const F& f) const {
  // [first, last) are the pieces that begin with text[0, n). The shortest sorts first.
  auto first = sorted_.begin(), last = sorted_.end();
  for (size_t n = 0; n < text.size(); ++n) {
    const auto byte = static_cast<unsigned char>(text[n]);
    first = std::partition_point(first, last, [&](int32_t id) {
      return Piece(id).size() <= n || static_cast<unsigned char>(Piece(id)[n]) < byte;
    });
    last = std::partition_point(
        first, last, [&](int32_t id) { return static_cast<unsigned char>(Piece(id)[n]) == byte; });
    if (first == last) return;
    if (Piece(*first).size() == n + 1) f(*first, n + 1);
  }
}

void UnigramModel::Segment(std::string_view word, std::vector<PieceSpan>* pieces) const {
  std::vector<Node> best(word.size() + 1);
  const auto offer = [&](size_t begin, size_t end, int32_t id, double score) {
    Node& node = best[end];
    if (node.begin == SIZE_MAX || score > node.score) node = {score, begin, id};
  };
  for (size_t begin = 0; begin < word.size();) {
    const double so_far = best[begin].score;
    const size_t next = CodePointAt(word, begin).end;
    bool covered = false;  // does a piece cover exactly this character?
    ForEachPrefix(word.substr(begin), [&](int32_t id, size_t bytes) {
      offer(begin, begin + bytes, id, so_far + vocab_[static_cast<size_t>(id)].second);
      covered |= begin + bytes == next;
    });
    if (!covered) offer(begin, next, unk_id_, so_far + unk_score_);
    begin = next;
  }
  // Backwards, joining unknown neighbours (fuse_unk).
  const size_t before = pieces->size();
  for (size_t end = word.size(); end > 0;) {
    size_t begin = best[end].begin;
    int32_t id = best[end].id;
    if (id == unk_id_) {
      while (begin > 0 && best[begin].id == unk_id_) begin = best[begin].begin;
      // HF looks the joined text up again, and it may be a piece after all.
      if (const int32_t known = Find(word.substr(begin, end - begin)); known >= 0) id = known;
    }
    pieces->push_back({id, begin});
    end = begin;
  }
  std::reverse(pieces->begin() + static_cast<std::ptrdiff_t>(before), pieces->end());
}

}  // namespace kontext
