#include "model/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "io/mapped_file.h"

namespace kontext {

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  ok_ = context_ != nullptr && EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1;
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

void Sha256::Add(ByteSpan bytes) {
  ok_ = ok_ && EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1;
}

Result<std::string> Sha256::Take() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (!ok_ || EVP_DigestFinal_ex(context_, digest.data(), &size) != 1) {
    return Internal("SHA-256 is not available in this OpenSSL");
  }
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  ok_ = EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1;
  return hex;
}

Result<std::string> Sha256OfPixels(const Pixels& pixels) {
  const std::string head = fmt::format("{}x{}x{}\n", pixels.width, pixels.height, pixels.channels);
  Sha256 sha;
  sha.Add(std::as_bytes(std::span(head)));
  sha.Add(std::as_bytes(std::span(pixels.data)));
  return sha.Take();
}

Result<std::string> Sha256OfFile(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  Sha256 sha;
  sha.Add({file.data(), static_cast<size_t>(file.size())});
  return sha.Take();
}

}  // namespace kontext
