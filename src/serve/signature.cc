#include "serve/signature.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "io/atomic_file.h"
#include "serve/store.h"

namespace kontext::serve {
namespace {
constexpr size_t kSecretDigits = 64;  // 256 bits
}

std::string HmacHex(const std::string& secret, const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(),
           &size) == nullptr)
    return "";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

bool SameText(const std::string& a, const std::string& b) {
  return !a.empty() && a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<std::string> ServerSecret(const std::string& folder) {
  const std::string path = folder + "/secret", fresh = path + ".new";
  std::string secret;
  std::ifstream(path) >> secret;
  if (secret.size() == kSecretDigits) return secret;
  secret = RandomHex(kSecretDigits);
  unlink(fresh.c_str());
  const int file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return BadInput("{}: {}", fresh, std::strerror(errno));
  const bool written =
      write(file, secret.data(), secret.size()) == std::ssize(secret) && fsync(file) == 0;
  close(file);
  if (!written || std::rename(fresh.c_str(), path.c_str()) != 0)
    return BadInput("{}: {}", path, std::strerror(errno));
  SyncFolderOf(path);
  return secret;
}

}  // namespace kontext::serve
