// Names that nothing else has.
#include <random>
#include <span>

#include "base/status.h"
#include "model/sha256.h"
#include "serve/store.h"

namespace kontext::serve {

std::string HashOf(std::string_view bytes) {
  Sha256 sha;
  sha.Add(std::as_bytes(std::span(bytes)));
  const Result<std::string> hash = sha.Take();
  return hash.ok() ? *hash : "";
}

NewPicture::NewPicture(std::string_view b) : hash(HashOf(b)), bytes(b) {}

std::string RandomHex(size_t digits) {
  std::random_device device;
  std::string text;
  while (text.size() < digits) text += fmt::format("{:08x}", device());
  return text.substr(0, digits);
}

}  // namespace kontext::serve
