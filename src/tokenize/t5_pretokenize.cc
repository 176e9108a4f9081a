#include "tokenize/t5_pretokenize.h"

#include <algorithm>
#include <utility>

#include "tokenize/utf8.h"

namespace kontext {
namespace {

struct Word {
  std::string text;
  bool at_start;  // of the prompt
};

std::string Apply(const StripRule& rule, std::string_view text) {
  size_t begin = text.size(), end = 0;  // of what is not white space
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = CodePointAt(text, i);
    if (!IsSpace(c.value)) {
      begin = std::min(begin, c.begin);
      end = c.end;
    }
    i = c.end;
  }
  if (end == 0) return "";  // nothing but white space: either side takes it all
  if (!rule.left) begin = 0;
  if (!rule.right) end = text.size();
  return std::string(text.substr(begin, end - begin));
}

std::string Apply(const ReplaceRule& rule, std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i, times = 0;
    while (text.substr(end, rule.pattern.size()) == rule.pattern &&
           (rule.least > 1 || times < rule.least)) {
      end += rule.pattern.size();
      ++times;
    }
    if (times >= rule.least) {
      out += rule.content;
    } else {
      end = std::max(end, i + 1);
      out += text.substr(i, end - i);
    }
    i = end;
  }
  return out;
}

void Apply(const WhitespaceSplitRule&, std::vector<Word>* words) {
  std::vector<Word> out;
  for (const Word& word : *words) {
    std::string text;
    bool at_start = word.at_start;
    for (size_t i = 0; i < word.text.size();) {
      const CodePoint c = CodePointAt(word.text, i);
      i = c.end;
      if (!IsSpace(c.value)) {
        text.append(word.text, c.begin, c.end - c.begin);
        continue;
      }
      if (!text.empty()) out.push_back({std::exchange(text, {}), at_start});
      at_start = false;
    }
    if (!text.empty()) out.push_back({std::move(text), at_start});
  }
  *words = std::move(out);
}

// HF tokenizers pre_tokenizers/metaspace.rs: spaces become the replacement, the word may get one in
// front, and it is cut before each of them.
void Apply(const MetaspaceRule& rule, std::vector<Word>* words) {
  const std::string_view mark = rule.replacement;
  std::vector<Word> out;
  for (const Word& word : *words) {
    if (word.text.empty()) continue;
    std::string text;
    for (char c : word.text) {
      if (c == ' ') {
        text += mark;
      } else {
        text += c;
      }
    }
    const bool prepend = rule.prepend == MetaspaceRule::Prepend::kAlways ||
                         (rule.prepend == MetaspaceRule::Prepend::kFirst && word.at_start);
    if (prepend && !text.starts_with(mark)) text.insert(0, mark);
    bool at_start = word.at_start;
    for (size_t begin = 0; begin < text.size();) {
      size_t end = rule.split ? text.find(mark, begin + 1) : text.size();
      end = std::min(end, text.size());
      out.push_back({text.substr(begin, end - begin), at_start});
      at_start = false;
      begin = end;
    }
  }
  *words = std::move(out);
}

}  // namespace

T5Pretokenizer T5Pretokenizer::ForSentencePiece(PrecompiledCharsmap charsmap) {
  T5Pretokenizer p;
  p.normalize_ = {std::move(charsmap), StripRule{.left = false, .right = true},
                  ReplaceRule{.pattern = " ", .least = 2, .content = std::string(kMetaspace)}};
  p.split_ = {MetaspaceRule{.replacement = std::string(kMetaspace)}};
  return p;
}

Result<std::vector<std::string>> T5Pretokenizer::Split(std::string_view text, bool at_start) const {
  std::string normalized(text);
  for (const NormalizeRule& rule : normalize_) {
    if (const auto* map = std::get_if<PrecompiledCharsmap>(&rule)) {
      KX_ASSIGN_OR_RETURN(normalized, map->Apply(normalized));
    } else if (const auto* strip = std::get_if<StripRule>(&rule)) {
      normalized = Apply(*strip, normalized);
    } else {
      normalized = Apply(std::get<ReplaceRule>(rule), normalized);
    }
  }
  std::vector<Word> words;
  if (!normalized.empty()) words.push_back({std::move(normalized), at_start});
  for (const SplitRule& rule : split_) {
    std::visit([&](const auto& r) { Apply(r, &words); }, rule);
  }
  std::vector<std::string> out;
  out.reserve(words.size());
  for (Word& word : words) out.push_back(std::move(word.text));
  return out;
}

}  // namespace kontext
