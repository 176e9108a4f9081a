#include "model/published.h"

#include <algorithm>
#include <array>

namespace kontext {
namespace {

// Sums: BFL docs/image-editing.md and README (transformers), LocalAI's gallery and the repositories
// comfyanonymous/flux_text_encoders and Comfy-Org/flux1-kontext-dev_ComfyUI on Hugging Face.
constexpr std::array<PublishedFile, 9> kPublished = {{
    {"flux1-kontext-dev.safetensors", 23802947360,
     "843a26dc765d3105dba081c30bce7b14c65b0988f9e8d14e9fbc8856a6deebd5", Variant::kKontext},
    {"flux1-dev-kontext_fp8_scaled.safetensors", 11904640136,
     "630ba795ec64283b4230ea23cf79406c2c68b7c578229ed139f30043eadb30a2", Variant::kKontext},
    {"flux1-dev.safetensors", 23802932552,
     "4610115bb0c89560703c892c59ac2742fa821e60ef5871b33493ba544683abd7", Variant::kDev},
    {"flux1-schnell.safetensors", 23782506688,
     "9403429e0052277ac2a87ad800adece5481eecefd9ed334e1f348723621d2a0a", Variant::kOther},
    {"ae.safetensors", 335304388,
     "afc8e28272cd15db3919bacdb6918ce9c1ed22e96cb12c4d5ed0fba823529e38", Variant::kUnknown},
    {"clip_l.safetensors", 246144152,
     "660c6f5b1abae9dc498ac2d21e1347d2abdb0cf6c0c0c8576cd796491d9a6cdd", Variant::kUnknown},
    {"t5xxl_fp16.safetensors", 9787841024,
     "6e480b09fae049a72d2a8c5fbccb8d3e92febeb233bbe9dfe7256958a9167635", Variant::kUnknown},
    {"t5xxl_fp8_e4m3fn.safetensors", 4893934904,
     "7d330da4816157540d6bb7838bf63a0f02f573fc48ca4d8de34bb0cbfd514f09", Variant::kUnknown},
    {"t5xxl_fp8_e4m3fn_scaled.safetensors", 5157348688,
     "a498f0485dc9536735258018417c3fd7758dc3bccc0a645feaa472b34955557a", Variant::kUnknown},
}};

template <class Matches>
const PublishedFile* FindPublished(const Matches& matches) {
  const auto* found = std::find_if(kPublished.begin(), kPublished.end(), matches);
  return found == kPublished.end() ? nullptr : found;
}

}  // namespace

const PublishedFile* PublishedBySize(int64_t bytes) {
  return FindPublished([&](const PublishedFile& f) { return f.bytes == bytes; });
}

const PublishedFile* PublishedBySum(std::string_view sha256) {
  return FindPublished([&](const PublishedFile& f) { return f.sha256 == sha256; });
}

}  // namespace kontext
