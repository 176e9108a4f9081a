#include "weights/adapter_scale.h"

#include <cmath>

namespace kontext {
namespace {

constexpr double kMaxAlpha = 1e6;
constexpr JsonLimits kLimits{.max_bytes = 1 << 20, .max_depth = 16, .max_values = 1 << 16};

}  // namespace

Result<AdapterScale::Numbers> AdapterScale::ReadNumbers(const Json& config,
                                                        const std::string& prefix,
                                                        const std::string& what) {
  Numbers numbers;
  // PEFT calls LoRA's alpha lora_alpha, and LoHa's and LoKr's alpha.
  for (const char* field : {"alpha", "lora_alpha"}) {
    const auto at = config.find(prefix + field);
    if (at == config.end() || at->is_null()) continue;
    KX_ASSIGN_OR_RETURN(numbers.alpha,
                        JsonNumber(config, prefix + field, -kMaxAlpha, kMaxAlpha, what));
  }
  const auto root = config.find(prefix + "use_rslora");
  numbers.root = root != config.end() && root->is_boolean() && root->get<bool>();
  const auto pattern = config.find(prefix + "alpha_pattern");
  if (pattern != config.end() && pattern->is_object()) {
    for (const auto& [name, alpha] : pattern->items()) {
      KX_ASSIGN_OR_RETURN(numbers.pattern[name],
                          JsonNumber(*pattern, name, -kMaxAlpha, kMaxAlpha, what));
    }
  }
  return numbers;
}

Result<AdapterScale> AdapterScale::Read(const std::map<std::string, std::string>& metadata,
                                        const std::string& config, const std::string& file) {
  AdapterScale scale;
  const auto at = metadata.find("lora_adapter_metadata");
  if (at == metadata.end() && config.empty()) return scale;
  const std::string what = at != metadata.end() ? file + ": metadata lora_adapter_metadata"
                                                : "adapter_config.json beside " + file;
  KX_ASSIGN_OR_RETURN(const Json json,
                      ParseJson(at != metadata.end() ? at->second : config, what, kLimits));
  if (!json.is_object()) return BadInput("{}: is no JSON object", what);
  for (const char* part : {"", "transformer", "text_encoder"}) {
    const std::string prefix = *part == '\0' ? "" : std::string(part) + ".";
    KX_ASSIGN_OR_RETURN(scale.parts_[part], ReadNumbers(json, prefix, what));
  }
  return scale;
}

double AdapterScale::Factor(const std::string& part, const std::string& product,
                            int64_t rank) const {
  for (const std::string& name : {part, std::string()}) {
    const auto at = parts_.find(name);
    if (at == parts_.end() || !at->second.alpha) continue;
    const Numbers& numbers = at->second;
    double alpha = *numbers.alpha;
    for (const auto& [ending, value] : numbers.pattern) {
      if (product == ending || product.ends_with("." + ending)) alpha = value;
    }
    const auto r = static_cast<double>(rank);
    return alpha / (numbers.root ? std::sqrt(r) : r);
  }
  return 1;
}

}  // namespace kontext
