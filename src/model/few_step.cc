#include "model/few_step.h"

#include <array>
#include <cctype>
#include <filesystem>
#include <string_view>

namespace kontext {
namespace {

// The model cards: huggingface.co/alimama-creative/FLUX.1-Turbo-Alpha, ByteDance/Hyper-SD.
constexpr std::array kKnown = {
    FewStep{"FLUX.1-Turbo-Alpha", 8, 3.5f, 1.0f},
    FewStep{"Hyper-FLUX.1-dev-8steps", 8, 3.5f, 0.125f},
    FewStep{"Hyper-FLUX.1-dev-16steps", 16, 3.5f, 0.125f},
};

// Small letters and digits alone: "Flux.1_Turbo_Alpha" is "FLUX.1-Turbo-Alpha".
std::string Plain(std::string_view text) {
  std::string plain;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isalnum(u) != 0) plain.push_back(static_cast<char>(std::tolower(u)));
  }
  return plain;
}

const FewStep* NamedIn(const std::string& name) {
  const std::string plain = Plain(name);
  for (const FewStep& known : kKnown) {
    if (plain.find(Plain(known.name)) != std::string::npos) return &known;
  }
  return nullptr;
}

}  // namespace

const FewStep* FewStepOf(const std::string& path) {
  std::filesystem::path at(path);
  const bool nameless = at.filename() == "diffusion_pytorch_model.safetensors";
  const FewStep* found = NamedIn(at.filename().string());
  while (nameless && found == nullptr && at.has_relative_path()) {
    at = at.parent_path();
    found = NamedIn(at.filename().string());
  }
  return found;
}

}  // namespace kontext
