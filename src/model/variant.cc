#include "model/variant.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>
#include <vector>

#include "io/json.h"

namespace kontext {
namespace {

// A word of a name says Kontext even beside "dev": flux1-dev-kontext_fp8_scaled is Kontext [dev].
Variant SaidBy(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (text.find("kontext") != std::string::npos) return Variant::kKontext;
  const bool flux = text.find("flux") != std::string::npos;
  if (flux && text.find("krea") != std::string::npos) return Variant::kOther;
  if (flux && text.find("dev") != std::string::npos) return Variant::kDev;
  return Variant::kUnknown;
}

const char* Name(Variant v) {
  switch (v) {
    case Variant::kKontext:
      return "Kontext [dev]";
    case Variant::kDev:
      return "FLUX.1 [dev], which draws but was not trained to edit";
    case Variant::kOther:
      return "another FLUX.1, not Kontext";
    case Variant::kUnknown:
      break;
  }
  return "FLUX.1 [dev] or Kontext [dev]";
}

ToldVariant Told(Variant variant, const std::string& by) {
  return {variant, fmt::format("{}, {}", Name(variant), by)};
}

}  // namespace

ToldVariant TellVariant(const std::string& sha256, int64_t bytes,
                        const std::map<std::string, std::string>& metadata,
                        const std::string& path) {
  const PublishedFile* file = sha256.empty() ? PublishedBySize(bytes) : PublishedBySum(sha256);
  if (file != nullptr && file->variant != Variant::kUnknown) {
    return Told(file->variant, fmt::format("by its {}, that of the published {}",
                                           sha256.empty() ? "size" : "SHA-256", file->name));
  }
  for (const auto& [key, value] : metadata) {
    const Variant said = SaidBy(value);
    if (said != Variant::kUnknown)
      return Told(said, fmt::format("by the metadata {}", Quoted(key)));
  }
  const std::filesystem::path whole(path);
  std::vector<std::string> parts;
  for (const auto& part : whole) parts.push_back(part.string());
  // Hugging Face's cache names the model four folders above the file; a home folder says nothing.
  constexpr size_t kMostParts = 5;
  if (parts.size() > kMostParts) parts.erase(parts.begin(), parts.end() - kMostParts);
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    const Variant said = SaidBy(*part);
    if (said != Variant::kUnknown)
      return Told(said, fmt::format("by the name {}; [dev] has the same tensors", Quoted(*part)));
  }
  return Told(Variant::kUnknown,
              "their tensors are the same, and neither metadata nor name says which");
}

}  // namespace kontext
