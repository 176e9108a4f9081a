// AdapterScale: the numbers that a LoRA is multiplied with where the file has no .alpha tensors:
// PEFT keeps them apart, in adapter_config.json beside the file or in its metadata.
#ifndef KONTEXT_WEIGHTS_ADAPTER_SCALE_H_
#define KONTEXT_WEIGHTS_ADAPTER_SCALE_H_

#include <map>
#include <optional>
#include <string>

#include "base/status.h"
#include "io/json.h"

namespace kontext {

class AdapterScale {
 public:
  // `metadata` is the file's: its "lora_adapter_metadata" goes before `config`, the text of
  // adapter_config.json (empty: none). `file` is for messages.
  static Result<AdapterScale> Read(const std::map<std::string, std::string>& metadata,
                                   const std::string& config, const std::string& file);

  // alpha / rank of the product `product` of the part `part` ("transformer", "text_encoder"), or
  // alpha / sqrt(rank) as rsLoRA has it; 1 if nothing is said.
  double Factor(const std::string& part, const std::string& product, int64_t rank) const;

 private:
  struct Numbers {
    std::optional<double> alpha;
    bool root = false;                      // rsLoRA
    std::map<std::string, double> pattern;  // alphas of products with names that end so
  };
  static Result<Numbers> ReadNumbers(const Json& config, const std::string& prefix,
                                     const std::string& what);

  std::map<std::string, Numbers> parts_;  // "" is for all
};

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_ADAPTER_SCALE_H_
