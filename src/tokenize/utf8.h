// UTF-8 at the edges of the tokenizers: one check of the prompt, then steps over code points.
#ifndef KONTEXT_TOKENIZE_UTF8_H_
#define KONTEXT_TOKENIZE_UTF8_H_

#include <unicode/uchar.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kontext {

// Far above any prompt and far below what ICU's 32-bit offsets can count.
inline constexpr size_t kMaxPromptBytes = size_t{16} << 20;

// U+2581, which stands for a space in SentencePiece vocabularies.
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";

// kBadInput naming the first byte that is not UTF-8, or the size if the text is too long.
Status CheckPrompt(std::string_view text);

// Is every byte part of well-formed UTF-8?
bool IsUtf8(std::string_view text);

// One code point of a text: its number and the bytes [begin, end) that hold it. A byte that is not
// UTF-8 counts as one character, U+FFFD.
struct CodePoint {
  UChar32 value;
  size_t begin, end;
};
CodePoint CodePointAt(std::string_view text, size_t begin);

void AppendUtf8(UChar32 value, std::string* out);

inline bool IsSpace(UChar32 c) { return u_isUWhiteSpace(c) != 0; }

}  // namespace kontext

#endif  // KONTEXT_TOKENIZE_UTF8_H_
