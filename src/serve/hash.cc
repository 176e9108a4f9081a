// Names that nothing else has.
#include <random>
#include <span>

#include "base/status.h"
#include "model/sha256.h"
#include "serve/store.h"

namespace kontext::serve {

std::string HashOf(const std::string& bytes) {
  Sha256 sha;
  sha.Add(std::as_bytes(std::span(bytes)));
  const Result<std::string> hash = sha.Take();
  return hash.ok() ? *hash : "";
}

std::string RandomHex(size_t digits) {
  std::random_device device;
  std::string text;
  while (text.size() < digits) text += fmt::format("{:08x}", device());
  return text.substr(0, digits);
}

}  // namespace kontext::serve
