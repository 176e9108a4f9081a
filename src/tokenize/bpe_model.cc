#include "tokenize/bpe_model.h"

#include <queue>
#include <tuple>

#include "tokenize/utf8.h"

namespace kontext {
namespace {

constexpr std::string_view kWordEnd = "</w>";

// GPT-2's bytes_to_unicode: the printable bytes of Latin-1 stand for themselves, the other 68
// follow from U+0100 on in increasing order (spec tokenizers A.4).
std::array<UChar32, 256> ByteSymbols() {
  std::array<UChar32, 256> symbols{};
  UChar32 next = 0x100;
  for (int b = 0; b < 256; ++b) {
    const bool printable =
        (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
    symbols[static_cast<size_t>(b)] = printable ? b : next++;
  }
  return symbols;
}

std::string SymbolOf(int byte) {
  static const std::array<UChar32, 256> symbols = ByteSymbols();
  std::string s;
  AppendUtf8(symbols[static_cast<size_t>(byte)], &s);
  return s;
}

}  // namespace

Status BpeModel::ReadVocab(const Json& vocab, const std::string& what) {
  if (!vocab.is_object() || vocab.empty()) {
    return BadInput("{}: expected an object of token: id, got {}", what,
                    vocab.is_object() ? "an empty one" : vocab.type_name());
  }
  const auto n = static_cast<int64_t>(vocab.size());
  tokens_.resize(vocab.size());
  for (const auto& [token, value] : vocab.items()) {
    if (!value.is_number_integer()) {
      return BadInput("{}: the id of {} is of type {}, expected an integer", what, Quoted(token),
                      value.type_name());
    }
    const int64_t id = value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX
                           ? INT64_MAX
                           : value.get<int64_t>();
    if (token.empty() || id < 0 || id >= n) {
      return BadInput("{}: the token {} has the id {}; {} tokens need the ids 0 to {}", what,
                      Quoted(token), id, n, n - 1);
    }
    std::string& slot = tokens_[static_cast<size_t>(id)];
    if (!slot.empty()) {
      return BadInput("{}: the tokens {} and {} have the same id {}", what, Quoted(slot),
                      Quoted(token), id);
    }
    slot = token;
    ids_.emplace(token, static_cast<int32_t>(id));
  }
  return FindBytes(what);
}

Status BpeModel::FindBytes(const std::string& what) {
  for (int b = 0; b < 256; ++b) {
    const std::string symbol = SymbolOf(b);
    const std::string last = symbol + std::string(kWordEnd);
    const int32_t id = Find(symbol), last_id = Find(last);
    if (id < 0 || last_id < 0) {
      return BadInput("{}: the token {} of byte {} is missing; is this CLIP's vocabulary?", what,
                      Quoted(id < 0 ? symbol : last), b);
    }
    byte_[static_cast<size_t>(b)] = id;
    last_byte_[static_cast<size_t>(b)] = last_id;
  }
  return Status();
}

Status BpeModel::AddMerge(std::string_view left, std::string_view right, const std::string& where) {
  for (std::string_view part : {left, right}) {
    if (Find(std::string(part)) < 0) {
      return BadInput("{}: {} is not in the vocabulary", where, Quoted(part));
    }
  }
  const std::string merged = std::string(left) + std::string(right);
  const int32_t id = Find(merged);
  if (id < 0) {
    return BadInput("{}: the merged token {} is not in the vocabulary", where, Quoted(merged));
  }
  const auto rank = static_cast<int32_t>(merges_.size());
  const uint64_t key = Key(Find(std::string(left)), Find(std::string(right)));
  if (!merges_.emplace(key, Merge{rank, id}).second) {
    return BadInput("{}: the pair {} {} stands there a second time", where, Quoted(left),
                    Quoted(right));
  }
  return Status();
}

Result<BpeModel> BpeModel::FromVocabAndMerges(const Json& vocab, const std::string& vocab_name,
                                              std::string_view merges,
                                              const std::string& merges_name) {
  BpeModel model;
  KX_RETURN_IF_ERROR(model.ReadVocab(vocab, vocab_name));
  int64_t number = 0;
  while (!merges.empty()) {
    const size_t end = merges.find('\n');
    std::string_view line = merges.substr(0, end);
    merges.remove_prefix(end == std::string_view::npos ? merges.size() : end + 1);
    ++number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.substr(0, 8) == "#version")) continue;
    const std::string where = fmt::format("{} line {}", merges_name, number);
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      return BadInput("{}: expected two tokens with one space between, got {}", where,
                      Quoted(line));
    }
    KX_RETURN_IF_ERROR(model.AddMerge(line.substr(0, space), line.substr(space + 1), where));
  }
  return model;
}

Result<BpeModel> BpeModel::FromTokenizerJson(const Json& json, const std::string& what) {
  if (!json.is_object() || json.value("type", Json()) != "BPE" ||
      json.value("end_of_word_suffix", Json()) != kWordEnd) {
    return BadInput("{}: its model is not a BPE with end_of_word_suffix \"</w>\", as CLIP's is",
                    what);
  }
  if (!json.contains("vocab") || !json.contains("merges") || !json["merges"].is_array()) {
    return BadInput("{}: its model needs the object vocab and the list merges", what);
  }
  BpeModel model;
  KX_RETURN_IF_ERROR(model.ReadVocab(json["vocab"], what));
  int64_t index = 0;
  for (const Json& merge : json["merges"]) {
    const std::string where = fmt::format("{}: merges[{}]", what, index++);
    // Older files write "a b", newer ones ["a", "b"].
    std::string left, right;
    if (merge.is_string()) {
      const std::string& line = merge.get_ref<const std::string&>();
      const size_t space = line.find(' ');
      left = line.substr(0, space);
      if (space != std::string::npos) right = line.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    }
    if (left.empty() || right.empty()) {
      return BadInput("{}: expected \"left right\" or [\"left\", \"right\"]", where);
    }
    KX_RETURN_IF_ERROR(model.AddMerge(left, right, where));
  }
  return model;
}

int32_t BpeModel::Find(const std::string& token) const {
  const auto it = ids_.find(token);
  return it == ids_.end() ? -1 : it->second;
}

// The lowest rank first, the leftmost of equal ranks, from a heap: n log n, where looking through
// all pairs after each merge would be quadratic. Same order as Hugging Face tokenizers'
// models/bpe/word.rs (merge_all).
void BpeModel::Encode(std::string_view piece, std::vector<int32_t>* ids) const {
  const size_t n = piece.size();
  if (n == 0) return;
  constexpr size_t kNone = SIZE_MAX;
  struct Symbol {
    int32_t id;          // -1 once it has been merged into its left neighbour
    size_t left, right;  // neighbours, kNone at the ends
  };
  std::vector<Symbol> symbols(n);
  for (size_t i = 0; i < n; ++i) {
    const auto byte = static_cast<unsigned char>(piece[i]);
    symbols[i] = {i + 1 < n ? byte_[byte] : last_byte_[byte], i > 0 ? i - 1 : kNone,
                  i + 1 < n ? i + 1 : kNone};
  }

  using Candidate =
      std::tuple<int32_t, size_t, int32_t>;  // rank, left symbol, id of the merged one
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto merge_at = [&](size_t left) -> const Merge* {
    if (left == kNone || symbols[left].id < 0 || symbols[left].right == kNone) return nullptr;
    const auto it = merges_.find(Key(symbols[left].id, symbols[symbols[left].right].id));
    return it == merges_.end() ? nullptr : &it->second;
  };
  const auto consider = [&](size_t left) {
    if (const Merge* m = merge_at(left)) queue.emplace(m->rank, left, m->id);
  };
  for (size_t i = 0; i + 1 < n; ++i) consider(i);

  while (!queue.empty()) {
    const auto [rank, left, merged] = queue.top();
    queue.pop();
    // Either half may have been merged with something else since.
    if (const Merge* m = merge_at(left); m == nullptr || m->id != merged) continue;
    Symbol& s = symbols[left];
    Symbol& gone = symbols[s.right];
    s.id = merged;
    s.right = gone.right;
    gone.id = -1;
    if (s.right != kNone) symbols[s.right].left = left;
    consider(s.left);
    consider(left);
  }
  for (size_t i = 0; i != kNone; i = symbols[i].right) ids->push_back(symbols[i].id);
}

std::string BpeModel::Text(int32_t id) const {
  static const std::unordered_map<UChar32, char> bytes = [] {
    const std::array<UChar32, 256> symbols = ByteSymbols();
    std::unordered_map<UChar32, char> map;
    for (size_t b = 0; b < symbols.size(); ++b) map.emplace(symbols[b], static_cast<char>(b));
    return map;
  }();
  if (id < 0 || id >= size()) return "";
  std::string_view token = tokens_[static_cast<size_t>(id)];
  const bool word_end = token.ends_with(kWordEnd);
  if (word_end) token.remove_suffix(kWordEnd.size());
  std::string text;
  for (size_t i = 0; i < token.size();) {
    const CodePoint c = CodePointAt(token, i);
    const auto it = bytes.find(c.value);
    if (it != bytes.end()) text += it->second;
    i = c.end;
  }
  if (word_end) text += ' ';
  return text;
}

}  // namespace kontext
