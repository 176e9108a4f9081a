#include "tokenize/precompiled_charsmap.h"

#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include <memory>

#include "tokenize/utf8.h"

namespace kontext {
namespace {

uint32_t ReadU32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return value;
}

// The fields of a Darts-clone unit.
bool HasLeaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFFu; }
uint32_t Label(uint32_t unit) { return unit & 0x800000FFu; }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200u) >> 6); }

struct CloseText {
  void operator()(UText* t) const { utext_close(t); }
};
struct CloseBreaks {
  void operator()(UBreakIterator* b) const { ubrk_close(b); }
};

}  // namespace

Result<PrecompiledCharsmap> PrecompiledCharsmap::Parse(std::string_view blob,
                                                       const std::string& what) {
  PrecompiledCharsmap map;
  if (blob.empty()) return map;
  const size_t trie = blob.size() < 4 ? 0 : ReadU32(blob, 0);
  if (trie == 0 || trie % 4 != 0 || trie > blob.size() - 4) {
    return BadInput("{}: its character map of {} bytes says that {} of them are the trie", what,
                    blob.size(), trie);
  }
  for (size_t at = 4; at < 4 + trie; at += 4) map.units_.push_back(ReadU32(blob, at));
  map.replacements_ = blob.substr(4 + trie);
  if (!IsUtf8(map.replacements_)) {
    return BadInput("{}: the replacements of its character map are not UTF-8", what);
  }
  return map;
}

std::optional<std::string_view> PrecompiledCharsmap::Find(std::string_view key) const {
  if (units_.empty()) return std::nullopt;
  size_t at = Offset(units_[0]);
  for (char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || Label(units_[at]) != byte) return std::nullopt;
    const bool leaf = HasLeaf(units_[at]);
    at ^= Offset(units_[at]);
    if (!leaf) continue;
    if (at >= units_.size()) return std::nullopt;
    // A hostile map may point past the end or into a character; then it replaces nothing.
    const size_t begin = Value(units_[at]);
    if (begin >= replacements_.size() || (replacements_[begin] & 0xC0) == 0x80) return std::nullopt;
    const std::string_view rest = std::string_view(replacements_).substr(begin);
    return rest.substr(0, rest.find('\0'));
  }
  return std::nullopt;
}

// HF tokenizers normalizers/precompiled.rs, lines "graphemes(true).for_each". A match at the start
// of a short cluster replaces all of it, so a second accent on one letter is lost, as it is there;
// SentencePiece itself would take the longest match and keep the rest.
void PrecompiledCharsmap::ApplyToCluster(std::string_view cluster, std::string* out) const {
  constexpr size_t kWholeBelow = 6;
  if (cluster.size() < kWholeBelow) {
    if (const auto replacement = Find(cluster)) {
      *out += *replacement;
      return;
    }
  }
  for (size_t i = 0; i < cluster.size();) {
    const CodePoint c = CodePointAt(cluster, i);
    const std::string_view one = cluster.substr(c.begin, c.end - c.begin);
    *out += Find(one).value_or(one);
    i = c.end;
  }
}

Result<std::string> PrecompiledCharsmap::Apply(std::string_view text) const {
  if (units_.empty()) return std::string(text);
  UErrorCode error = U_ZERO_ERROR;
  const std::unique_ptr<UText, CloseText> utext(
      utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &error));
  const std::unique_ptr<UBreakIterator, CloseBreaks> clusters(
      ubrk_open(UBRK_CHARACTER, "", nullptr, 0, &error));
  if (U_SUCCESS(error)) ubrk_setUText(clusters.get(), utext.get(), &error);
  if (U_FAILURE(error)) return Internal("ICU cannot cut the prompt: {}", u_errorName(error));

  std::string out;
  out.reserve(text.size());
  int32_t begin = ubrk_first(clusters.get());
  for (int32_t end = ubrk_next(clusters.get()); end != UBRK_DONE; end = ubrk_next(clusters.get())) {
    ApplyToCluster(text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), &out);
    begin = end;
  }
  return out;
}

}  // namespace kontext
