#include "tokenize/clip_pretokenize.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include "tokenize/utf8.h"

namespace kontext {
namespace {

enum class Kind { kSpace, kLetter, kNumber, kOther };

Kind KindOf(UChar32 c) {
  if (IsSpace(c)) return Kind::kSpace;
  const uint32_t category = U_GET_GC_MASK(c);
  if (category & U_GC_L_MASK) return Kind::kLetter;
  if (category & U_GC_N_MASK) return Kind::kNumber;
  return Kind::kOther;
}

// The length of the contraction that `text` begins with, or 0. Alternatives in the regex's order.
size_t Contraction(std::string_view text) {
  if (text.empty() || text[0] != '\'') return 0;
  for (std::string_view c : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.substr(0, c.size()) == c) return c.size();
  }
  return 0;
}

}  // namespace

Result<std::string> NormalizeForClip(std::string_view text) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
  std::string composed;
  if (U_SUCCESS(error)) {
    icu::StringByteSink<std::string> sink(&composed);
    nfc->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink,
                       nullptr, error);
  }
  if (U_FAILURE(error)) return Internal("ICU cannot compose the prompt: {}", u_errorName(error));

  std::string out;
  out.reserve(composed.size());
  bool after_space = false;
  for (size_t i = 0; i < composed.size();) {
    const CodePoint c = CodePointAt(composed, i);
    i = c.end;
    const bool space = IsSpace(c.value);
    if (space) {
      if (!after_space) out += ' ';
    } else if (c.value == 0x130) {
      // The one code point whose unconditional lower case is two: i with a dot above it.
      out += "i\xCC\x87";
    } else {
      AppendUtf8(u_tolower(c.value), &out);
    }
    after_space = space;
  }
  return out;
}

std::vector<std::string_view> SplitForClip(std::string_view normalized) {
  std::vector<std::string_view> pieces;
  for (size_t i = 0; i < normalized.size();) {
    if (const size_t n = Contraction(normalized.substr(i)); n > 0) {
      pieces.push_back(normalized.substr(i, n));
      i += n;
      continue;
    }
    const CodePoint first = CodePointAt(normalized, i);
    const Kind kind = KindOf(first.value);
    size_t end = first.end;
    if (kind == Kind::kLetter || kind == Kind::kOther) {  // each number character stays alone
      while (end < normalized.size()) {
        const CodePoint next = CodePointAt(normalized, end);
        if (KindOf(next.value) != kind) break;
        end = next.end;
      }
    }
    if (kind != Kind::kSpace) pieces.push_back(normalized.substr(i, end - i));
    i = end;
  }
  return pieces;
}

}  // namespace kontext
