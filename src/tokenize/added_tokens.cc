#include "tokenize/added_tokens.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "tokenize/utf8.h"

namespace kontext {
namespace {

constexpr size_t kMaxContentBytes = 256;   // "<|startoftext|>" has 15
constexpr size_t kMaxAddedTokens = 10000;  // T5 has 103
constexpr int64_t kMaxId = int64_t{1} << 24;

Result<bool> Flag(const Json& token, const char* name, const std::string& what) {
  const auto it = token.find(name);
  if (it == token.end()) return false;
  if (!it->is_boolean()) {
    return BadInput("{}: an added token's {} is of type {}, expected true or false", what, name,
                    it->type_name());
  }
  return it->get<bool>();
}

// How many bytes of white space end (or, `from_front`, begin) the text.
size_t SpaceBytes(std::string_view text, bool from_front) {
  size_t after_word = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = CodePointAt(text, i);
    if (!IsSpace(c.value)) {
      if (from_front) return i;
      after_word = c.end;
    }
    i = c.end;
  }
  return text.size() - (from_front ? 0 : after_word);
}

}  // namespace

Status AddedTokens::AddJson(const Json& token, int64_t id, const std::string& what) {
  if (!token.is_object() || !token.contains("content") || !token["content"].is_string()) {
    return BadInput("{}: the added token {} has no text \"content\"", what, id);
  }
  const std::string& content = token["content"].get_ref<const std::string&>();
  if (content.empty() || content.size() > kMaxContentBytes) {
    return BadInput("{}: the added token {} has {} bytes, expected 1 to {}", what, id,
                    content.size(), kMaxContentBytes);
  }
  if (tokens_.size() == kMaxAddedTokens) {
    return BadInput("{}: more than {} added tokens", what, kMaxAddedTokens);
  }
  if (id < 0 || id > kMaxId) {
    return BadInput("{}: the added token {} has the id {}, expected 0 to {}", what, Quoted(content),
                    id, kMaxId);
  }
  AddedToken t;
  t.id = static_cast<int32_t>(id);
  KX_ASSIGN_OR_RETURN(t.normalized, Flag(token, "normalized", what));
  KX_ASSIGN_OR_RETURN(t.lstrip, Flag(token, "lstrip", what));
  KX_ASSIGN_OR_RETURN(t.rstrip, Flag(token, "rstrip", what));
  KX_ASSIGN_OR_RETURN(const bool single_word, Flag(token, "single_word", what));
  if (single_word) {
    return BadInput("{}: the added token {} is single_word, which no CLIP or T5 tokenizer uses",
                    what, Quoted(content));
  }
  Add(content, t);
  return Status();
}

Result<AddedTokens> AddedTokens::FromList(const Json& list, const std::string& what) {
  if (!list.is_array()) {
    return BadInput("{}: added_tokens is of type {}, expected a list", what, list.type_name());
  }
  AddedTokens tokens;
  for (const Json& token : list) {
    KX_ASSIGN_OR_RETURN(const int64_t id, JsonInt(token, "id", 0, kMaxId, what));
    KX_RETURN_IF_ERROR(tokens.AddJson(token, id, what));
  }
  return tokens;
}

Result<AddedTokens> AddedTokens::FromDecoder(const Json& object, const std::string& what) {
  if (!object.is_object()) {
    return BadInput("{}: added_tokens_decoder is of type {}, expected an object", what,
                    object.type_name());
  }
  AddedTokens tokens;
  for (const auto& [key, token] : object.items()) {
    int64_t id = -1;
    const char* end = key.data() + key.size();
    if (const auto parsed = std::from_chars(key.data(), end, id);
        parsed.ec != std::errc() || parsed.ptr != end) {
      return BadInput("{}: added_tokens_decoder has the key {}, expected an id", what, Quoted(key));
    }
    KX_RETURN_IF_ERROR(tokens.AddJson(token, id, what));
  }
  return tokens;
}

void AddedTokens::Add(const std::string& content, const AddedToken& token) {
  if (content.empty() || !tokens_.emplace(content, token).second) return;
  std::vector<size_t>& lengths = lengths_[content[0]];
  const auto at =
      std::lower_bound(lengths.begin(), lengths.end(), content.size(), std::greater<>());
  if (at == lengths.end() || *at != content.size()) lengths.insert(at, content.size());
}

std::vector<TextPart> AddedTokens::Split(std::string_view text, bool normalized) const {
  std::vector<TextPart> parts;
  size_t plain = 0;  // where the text since the last token begins
  for (size_t i = 0; i < text.size();) {
    const auto lengths = lengths_.find(text[i]);
    auto found = tokens_.end();
    if (lengths != lengths_.end()) {
      for (size_t n : lengths->second) {
        found = tokens_.find(text.substr(i, n));
        if (found != tokens_.end() && found->second.normalized == normalized) break;
        found = tokens_.end();
      }
    }
    if (found == tokens_.end()) {
      ++i;
      continue;
    }
    const AddedToken& token = found->second;
    std::string_view before = text.substr(plain, i - plain);
    if (token.lstrip) before.remove_suffix(SpaceBytes(before, /*from_front=*/false));
    if (!before.empty()) parts.push_back({before});
    i += found->first.size();
    if (token.rstrip) i += SpaceBytes(text.substr(i), /*from_front=*/true);
    parts.push_back({found->first, token.id});
    plain = i;
  }
  if (plain < text.size()) parts.push_back({text.substr(plain)});
  return parts;
}

}  // namespace kontext
