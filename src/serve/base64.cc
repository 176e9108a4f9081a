#include "serve/base64.h"

#include <openssl/evp.h>

#include <algorithm>
#include <climits>

namespace kontext::serve {

std::string ToBase64(std::string_view bytes) {
  if (bytes.size() > INT_MAX / 2) return "";  // OpenSSL counts in int; no body is as large
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.starts_with("data:")) {
    const size_t comma = text.find(";base64,");
    if (comma > 100) return std::nullopt;  // npos, too
    text.remove_prefix(comma + 8);
  }
  std::string digits;
  digits.reserve(text.size() + 3);
  std::copy_if(text.begin(), text.end(), std::back_inserter(digits),
               [](char c) { return c != '\n' && c != '\r'; });
  while (digits.ends_with('=')) digits.pop_back();
  const size_t size = digits.size() / 4 * 3 + digits.size() % 4 * 3 / 4;
  // OpenSSL takes spaces and - at the ends for none of the text, and = for a digit.
  if (digits.size() % 4 == 1 || digits.size() > INT_MAX - 3 ||
      digits.find_first_of(" \t-=") != std::string::npos)
    return std::nullopt;
  digits.append((4 - digits.size() % 4) % 4, '=');
  std::string bytes(digits.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(digits.data()),
                      static_cast<int>(digits.size())) < 0)
    return std::nullopt;
  bytes.resize(size);
  return bytes;
}

}  // namespace kontext::serve
