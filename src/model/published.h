// Weight files as their makers published them, known by size and SHA-256.
#ifndef KONTEXT_MODEL_PUBLISHED_H_
#define KONTEXT_MODEL_PUBLISHED_H_

#include <cstdint>
#include <string_view>

namespace kontext {

enum class Variant { kUnknown, kKontext, kDev, kOther };

struct PublishedFile {
  std::string_view name;
  int64_t bytes;
  std::string_view sha256;
  Variant variant;  // of a transformer; kUnknown for the other parts
};

// Null if no published file has that many bytes, or that sum.
const PublishedFile* PublishedBySize(int64_t bytes);
const PublishedFile* PublishedBySum(std::string_view sha256);

}  // namespace kontext

#endif  // KONTEXT_MODEL_PUBLISHED_H_
