// The Viterbi search of HF tokenizers models/unigram/model.rs (encode_optimized), spec tokenizers
// B.4.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "io/json.h"
#include "tokenize/piece_model.h"
#include "tokenize/utf8.h"

namespace kontext {
namespace {

constexpr double kUnkPenalty = 10.0;     // model.rs K_UNK_PENALTY
constexpr size_t kMaxPieceBytes = 1024;  // SentencePiece's trainer makes at most 16 characters

class UnigramModel : public PieceModel {
 public:
  UnigramModel(std::vector<std::pair<std::string, double>> vocab, int32_t unk_id)
      : vocab_(std::move(vocab)), unk_id_(unk_id), sorted_(vocab_.size()) {
    std::iota(sorted_.begin(), sorted_.end(), 0);
    std::sort(sorted_.begin(), sorted_.end(),
              [&](int32_t a, int32_t b) { return Piece(a) < Piece(b); });
    for (const auto& [piece, score] : vocab_) min_score_ = std::min(min_score_, score);
  }

  // Two pieces of the same text, if any: the ids.
  std::pair<int32_t, int32_t> Duplicate() const {
    for (size_t i = 1; i < sorted_.size(); ++i) {
      if (Piece(sorted_[i - 1]) == Piece(sorted_[i])) return {sorted_[i - 1], sorted_[i]};
    }
    return {-1, -1};
  }

  int size() const override { return static_cast<int>(vocab_.size()); }
  int32_t Find(std::string_view piece) const override {
    const auto it = std::lower_bound(sorted_.begin(), sorted_.end(), piece,
                                     [&](int32_t id, std::string_view p) { return Piece(id) < p; });
    return it != sorted_.end() && Piece(*it) == piece ? *it : -1;
  }
  Status Segment(std::string_view word, std::vector<PieceSpan>* pieces) const override;

 private:
  struct Node {  // the best way to the byte where it stands
    double score = 0;
    size_t begin = SIZE_MAX;  // of its last piece; SIZE_MAX: no way leads here yet
    int32_t id = -1;
  };
  const std::string& Piece(int32_t id) const { return vocab_[static_cast<size_t>(id)].first; }
  // Calls f(id, bytes) for every piece that `text` begins with, shortest first.
  template <class F>
  void ForEachPrefix(std::string_view text, const F& f) const;

  std::vector<std::pair<std::string, double>> vocab_;
  int32_t unk_id_;
  std::vector<int32_t> sorted_;  // ids in the order of their pieces' bytes
  double min_score_ = std::numeric_limits<double>::infinity();
};

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

Status UnigramModel::Segment(std::string_view word, std::vector<PieceSpan>* pieces) const {
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
    if (!covered) offer(begin, next, unk_id_, so_far + min_score_ - kUnkPenalty);
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
  return Status();
}

}  // namespace

Result<std::unique_ptr<PieceModel>> MakeUnigramModel(
    std::vector<std::pair<std::string, double>> vocab, int32_t unk_id, const std::string& what) {
  if (unk_id < 0 || static_cast<size_t>(unk_id) >= vocab.size()) {
    return BadInput("{}: unk_id is {}, expected one of the {} pieces", what, unk_id, vocab.size());
  }
  for (size_t i = 0; i < vocab.size(); ++i) {
    const auto& [piece, score] = vocab[i];
    // Pieces are whole characters (JSON strings are UTF-8), so a path never ends inside one.
    if (piece.empty() || piece.size() > kMaxPieceBytes || !IsUtf8(piece) || !std::isfinite(score)) {
      return BadInput("{}: piece {} ({}, score {}) must have 1 to {} bytes and a finite score",
                      what, i, Quoted(piece), score, kMaxPieceBytes);
    }
  }
  auto model = std::make_unique<UnigramModel>(std::move(vocab), unk_id);
  if (const auto [a, b] = model->Duplicate(); a >= 0) {
    return BadInput("{}: the pieces {} and {} are the same", what, std::min(a, b), std::max(a, b));
  }
  return std::unique_ptr<PieceModel>(std::move(model));
}

}  // namespace kontext
