#include "weights/adapter_keys.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kontext {
namespace {

using enum AdapterRole;

// The longest ending that fits counts: ".lora.down.weight" before ".down.weight".
constexpr std::pair<std::string_view, AdapterRole> kEndings[] = {
    {".lora_A.weight", kDown},
    {".lora_A.default.weight", kDown},
    {".lora_down.weight", kDown},
    {".lora.down.weight", kDown},
    {".lora_linear_layer.down.weight", kDown},
    {"_lora.down.weight", kDown},  // Diffusers' first: to_q_lora.down.weight; XLabs: qkv_lora
    {".down.weight", kDown},       // XLabs: qkv_lora1.down.weight
    {".lora_B.weight", kUp},
    {".lora_B.default.weight", kUp},
    {".lora_up.weight", kUp},
    {".lora.up.weight", kUp},
    {".lora_linear_layer.up.weight", kUp},
    {"_lora.up.weight", kUp},
    {".up.weight", kUp},
    {".lora_B.bias", kUpBias},
    {".lora_B.default.bias", kUpBias},
    {".lora_up.bias", kUpBias},
    {".alpha", kAlpha},
    {".scale", kScale},
    {".dora_scale", kMagnitude},
    {".lora_magnitude_vector", kMagnitude},
    {".lora_magnitude_vector.weight", kMagnitude},
    {".lora_magnitude_vector.default.weight", kMagnitude},
    {".hada_w1_a", kHada1a},
    {".hada_w1_b", kHada1b},
    {".hada_w2_a", kHada2a},
    {".hada_w2_b", kHada2b},
    {".lokr_w1", kLokr1},
    {".lokr_w1_a", kLokr1a},
    {".lokr_w1_b", kLokr1b},
    {".lokr_w2", kLokr2},
    {".lokr_w2_a", kLokr2a},
    {".lokr_w2_b", kLokr2b},
    {".diff", kDiff},
    {".diff_b", kDiffBias},
};

// Endings of methods that cannot be applied.
struct Foreign {
  std::string_view ending, method, advice;
};
constexpr std::string_view kMergeIt =
    "merge it into the model with the program that trained it, or train a LoRA";
constexpr Foreign kForeign[] = {
    {".a1.weight", "GLoRA", kMergeIt},
    {".b1.weight", "GLoRA", kMergeIt},
    {".oft_blocks", "OFT", kMergeIt},
    {".oft_diag", "OFT", kMergeIt},
    {".oft_R.weight", "OFT", kMergeIt},
    {".hada_t1", "LoHa in Tucker form (for convolutions)", kMergeIt},
    {".lokr_t2", "LoKr in Tucker form (for convolutions)", kMergeIt},
    {"qkv_proj.lora_down", "nunchaku's packed LoRA form",
     "take the file it was converted from: any LoRA works on nunchaku's models here"},
    {"mlp_fc1.lora_down", "nunchaku's packed LoRA form",
     "take the file it was converted from: any LoRA works on nunchaku's models here"},
};

}  // namespace

Result<AdapterKeys> SortKeys(const std::map<std::string, ConstTensorView>& tensors,
                             const std::string& file) {
  AdapterKeys keys;
  for (const AdapterTensor& tensor : tensors) {
    const std::string& key = tensor.first;
    for (const Foreign& foreign : kForeign) {
      if (key.ends_with(foreign.ending)) {
        return BadInput("{}: is {}, which cannot be applied; {}", file, foreign.method,
                        foreign.advice);
      }
    }
    const std::pair<std::string_view, AdapterRole>* longest = nullptr;
    for (const auto& ending : kEndings) {
      if (!key.ends_with(ending.first)) continue;
      if (longest == nullptr || ending.first.size() > longest->first.size()) longest = &ending;
    }
    if (longest == nullptr) {
      keys.unknown.push_back(key);
      continue;
    }
    AdapterModule& module = keys.modules[key.substr(0, key.size() - longest->first.size())];
    if (!module.emplace(longest->second, &tensor).second) keys.unknown.push_back(key);
  }
  return keys;
}

}  // namespace kontext
