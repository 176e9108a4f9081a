#include "model/fingerprint.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "io/mapped_file.h"

namespace kontext {
namespace {

constexpr int64_t kHead = 64 << 10;
constexpr int64_t kSample = 4 << 10;
constexpr int64_t kSamples = 256;

}  // namespace

Result<std::string> Fingerprint(const std::vector<std::string>& paths) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> sha(EVP_MD_CTX_new(),
                                                                    &EVP_MD_CTX_free);
  bool ok = sha != nullptr && EVP_DigestInit_ex(sha.get(), EVP_sha256(), nullptr) == 1;
  const auto add = [&](const void* p, int64_t n) {
    ok = ok && EVP_DigestUpdate(sha.get(), p, static_cast<size_t>(n)) == 1;
  };
  for (const std::string& path : paths) {
    KX_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
    const int64_t size = file.size();
    add(&size, sizeof(size));
    add(file.data(), std::min(size, kHead));
    for (int64_t i = 0; i < kSamples && size > kHead; ++i) {
      const int64_t begin = kHead + (size - kHead) * i / kSamples;
      add(file.data() + begin, std::min(kSample, size - begin));
    }
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  if (!ok || EVP_DigestFinal_ex(sha.get(), digest.data(), nullptr) != 1) {
    return Internal("SHA-256 is not available in this OpenSSL");
  }
  std::string hex;
  for (size_t i = 0; i < 8; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace kontext
