// T5Pretokenizer::FromJson: which of tokenizer.json's normalisers and pre-tokenizers we know.
#include <functional>
#include <optional>
#include <utility>

#include "tokenize/t5_pretokenize.h"

namespace kontext {
namespace {

// Standard base64 with padding; nullopt where it is anything else.
std::optional<std::string> DecodeBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    uint32_t digit = 0;
    if (c >= 'A' && c <= 'Z') {
      digit = static_cast<uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      digit = static_cast<uint32_t>(c - 'a') + 26;
    } else if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0') + 52;
    } else if (c == '+' || c == '/') {
      digit = c == '+' ? 62 : 63;
    } else {
      return std::nullopt;
    }
    bits = bits << 6 | digit;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return out;
}

// The field, if it is there, else the default; an error where it is of another type.
template <class T>
Result<T> Optional(const Json& object, const char* field, T otherwise, const std::string& what) {
  const auto it = object.find(field);
  if (it == object.end() || it->is_null()) return otherwise;
  if constexpr (std::is_same_v<T, bool>) {
    if (it->is_boolean()) return it->template get<bool>();
  } else {
    if (it->is_string()) return it->template get<std::string>();
  }
  return BadInput("{}: the field {} is of type {}, expected {}", what, field, it->type_name(),
                  std::is_same_v<T, bool> ? "true or false" : "a string");
}

std::string TypeOf(const Json& rule) {
  if (!rule.is_object()) return "";
  const auto it = rule.find("type");
  return it != rule.end() && it->is_string() ? it->get<std::string>() : "";
}

Result<NormalizeRule> ReadReplace(const Json& rule, const std::string& what) {
  ReplaceRule replace;
  KX_ASSIGN_OR_RETURN(replace.content, Optional<std::string>(rule, "content", "", what));
  const Json pattern = rule.value("pattern", Json::object());
  if (pattern == Json{{"Regex", " {2,}"}}) {  // the only regex of any T5 export
    replace.pattern.assign(1, ' ');
    replace.least = 2;
    return NormalizeRule(replace);
  }
  if (pattern.is_object() && pattern.size() == 1 && pattern.contains("String")) {
    KX_ASSIGN_OR_RETURN(replace.pattern, Optional<std::string>(pattern, "String", "", what));
    if (!replace.pattern.empty()) return NormalizeRule(replace);
  }
  return BadInput("{}: Replace has the pattern {}, expected a String or the Regex \" {{2,}}\"",
                  what, Quoted(pattern.dump()));
}

Result<NormalizeRule> ReadNormalizer(const Json& rule, const std::string& what) {
  const std::string type = TypeOf(rule);
  if (type == "Precompiled") {
    KX_ASSIGN_OR_RETURN(const std::string text,
                        Optional<std::string>(rule, "precompiled_charsmap", "", what));
    const std::optional<std::string> blob = DecodeBase64(text);
    if (!blob) return BadInput("{}: precompiled_charsmap is not base64", what);
    KX_ASSIGN_OR_RETURN(PrecompiledCharsmap map, PrecompiledCharsmap::Parse(*blob, what));
    return NormalizeRule(std::move(map));
  }
  if (type == "Strip") {
    StripRule strip;
    KX_ASSIGN_OR_RETURN(strip.left, Optional(rule, "strip_left", false, what));
    KX_ASSIGN_OR_RETURN(strip.right, Optional(rule, "strip_right", false, what));
    return NormalizeRule(strip);
  }
  if (type == "Replace") return ReadReplace(rule, what);
  return BadInput("{}: the normalizer {} is none of Sequence, Precompiled, Strip, Replace", what,
                  Quoted(type));
}

Result<SplitRule> ReadSplit(const Json& rule, const std::string& what) {
  const std::string type = TypeOf(rule);
  if (type == "WhitespaceSplit") return SplitRule(WhitespaceSplitRule());
  if (type != "Metaspace") {
    return BadInput("{}: the pre_tokenizer {} is none of Sequence, WhitespaceSplit, Metaspace",
                    what, Quoted(type));
  }
  MetaspaceRule metaspace;
  KX_ASSIGN_OR_RETURN(metaspace.replacement, Optional<std::string>(rule, "replacement", "", what));
  KX_ASSIGN_OR_RETURN(metaspace.split, Optional(rule, "split", true, what));
  // Older files have add_prefix_space only; where both stand, prepend_scheme is the later word.
  KX_ASSIGN_OR_RETURN(const bool prefix, Optional(rule, "add_prefix_space", true, what));
  KX_ASSIGN_OR_RETURN(
      const std::string scheme,
      Optional<std::string>(rule, "prepend_scheme", prefix ? "always" : "never", what));
  using Prepend = MetaspaceRule::Prepend;
  metaspace.prepend = scheme == "always"  ? Prepend::kAlways
                      : scheme == "first" ? Prepend::kFirst
                                          : Prepend::kNever;
  if (metaspace.replacement.empty() ||
      (metaspace.prepend == Prepend::kNever && scheme != "never")) {
    return BadInput(
        "{}: Metaspace has the replacement {} and the prepend_scheme {}, expected a "
        "character and always, first or never",
        what, Quoted(metaspace.replacement), Quoted(scheme));
  }
  return SplitRule(std::move(metaspace));
}

// Reads `json`, a single rule or a Sequence of them in the list `parts`, with `read`.
template <class Rule, class Read>
Status ReadRules(const Json& json, const char* parts, const Read& read, const std::string& what,
                 std::vector<Rule>* rules) {
  if (json.is_null()) return Status();
  const bool sequence = TypeOf(json) == "Sequence";
  if (sequence && (!json.contains(parts) || !json[parts].is_array())) {
    return BadInput("{}: a Sequence without its list {}", what, parts);
  }
  const Json list = sequence ? json[parts] : Json::array({json});
  for (const Json& one : list) {
    KX_ASSIGN_OR_RETURN(Rule rule, read(one, what));
    rules->push_back(std::move(rule));
  }
  return Status();
}

}  // namespace

Result<T5Pretokenizer> T5Pretokenizer::FromJson(const Json& normalizer, const Json& pre_tokenizer,
                                                const std::string& what) {
  T5Pretokenizer p;
  KX_RETURN_IF_ERROR(ReadRules(normalizer, "normalizers", ReadNormalizer, what, &p.normalize_));
  KX_RETURN_IF_ERROR(ReadRules(pre_tokenizer, "pretokenizers", ReadSplit, what, &p.split_));
  return p;
}

}  // namespace kontext
