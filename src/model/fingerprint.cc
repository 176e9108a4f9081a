#include "model/fingerprint.h"

#include <algorithm>

#include "io/mapped_file.h"
#include "model/sha256.h"

namespace kontext {
namespace {

constexpr int64_t kHead = 64 << 10;
constexpr int64_t kSample = 4 << 10;
constexpr int64_t kSamples = 256;
constexpr size_t kDigits = 16;

}  // namespace

Result<std::string> Fingerprint(const std::vector<std::string>& paths) {
  Sha256 sha;
  const auto add = [&](const std::byte* p, int64_t n) { sha.Add({p, static_cast<size_t>(n)}); };
  for (const std::string& path : paths) {
    KX_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
    const int64_t size = file.size();
    add(reinterpret_cast<const std::byte*>(&size), sizeof(size));
    add(file.data(), std::min(size, kHead));
    for (int64_t i = 0; i < kSamples && size > kHead; ++i) {
      const int64_t begin = kHead + (size - kHead) * i / kSamples;
      add(file.data() + begin, std::min(kSample, size - begin));
    }
  }
  KX_ASSIGN_OR_RETURN(std::string hex, sha.Take());
  hex.resize(kDigits);
  return hex;
}

}  // namespace kontext
