// Text of UTF-8 cut to a number of bytes.
#ifndef KONTEXT_BASE_CUT_TEXT_H_
#define KONTEXT_BASE_CUT_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace kontext {

// The first whole characters of `text`, at most `most` bytes of them.
inline std::string CutText(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

}  // namespace kontext

#endif  // KONTEXT_BASE_CUT_TEXT_H_
