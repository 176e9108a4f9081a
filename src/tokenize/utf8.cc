#include "tokenize/utf8.h"

#include <unicode/utf8.h>

#include <algorithm>

namespace kontext {
namespace {

constexpr UChar32 kReplacement = 0xFFFD;

// As CodePointAt, but `value` is negative where the text is malformed.
CodePoint Decode(std::string_view text, size_t begin) {
  // No UTF-8 sequence is longer than four bytes, so ICU's 32-bit index never sees the whole text.
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data()) + begin;
  const int32_t available = static_cast<int32_t>(std::min<size_t>(text.size() - begin, 4));
  int32_t length = 0;
  UChar32 value = 0;
  U8_NEXT(bytes, length, available, value);
  return {value, begin, begin + static_cast<size_t>(length)};
}

// The first byte that is no UTF-8; text.size() if there is none.
size_t FirstMalformed(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = Decode(text, i);
    if (c.value < 0) return i;
    i = c.end;
  }
  return text.size();
}

}  // namespace

bool IsUtf8(std::string_view text) { return FirstMalformed(text) == text.size(); }

Status CheckPrompt(std::string_view text) {
  if (text.size() > kMaxPromptBytes) {
    return BadInput("the prompt has {} bytes, the limit is {}; shorten it", text.size(),
                    kMaxPromptBytes);
  }
  const size_t bad = FirstMalformed(text);
  if (bad == text.size()) return Status();
  return BadInput(
      "the prompt is not UTF-8: byte {} (0x{:02X}) belongs to no character; save it as UTF-8", bad,
      static_cast<unsigned char>(text[bad]));
}

CodePoint CodePointAt(std::string_view text, size_t begin) {
  const CodePoint c = Decode(text, begin);
  if (c.value >= 0) return c;
  return {kReplacement, begin, begin + 1};
}

void AppendUtf8(UChar32 value, std::string* out) {
  uint8_t bytes[U8_MAX_LENGTH];
  int32_t length = 0;
  UBool failed = false;
  U8_APPEND(bytes, length, U8_MAX_LENGTH, value, failed);
  if (!failed) out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

}  // namespace kontext
