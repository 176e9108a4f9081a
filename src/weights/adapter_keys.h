// The keys of an adapter file: module and role. "transformer.proj_out.lora_A.weight" is the role
// kDown of the module "transformer.proj_out".
#ifndef KONTEXT_WEIGHTS_ADAPTER_KEYS_H_
#define KONTEXT_WEIGHTS_ADAPTER_KEYS_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/view.h"

namespace kontext {

enum class AdapterRole {
  kDown,  // LoRA, [R,K] and [N,R]
  kUp,
  kUpBias,
  kAlpha,
  kScale,
  kMagnitude,  // DoRA
  kHada1a,     // LoHa, [N,R], [R,K], twice
  kHada1b,
  kHada2a,
  kHada2b,
  kLokr1,  // LoKr: two matrices, each whole or as a product
  kLokr1a,
  kLokr1b,
  kLokr2,
  kLokr2a,
  kLokr2b,
  kDiff,  // the differences themselves
  kDiffBias,
};

using AdapterTensor = std::pair<const std::string, ConstTensorView>;  // key and tensor
using AdapterModule = std::map<AdapterRole, const AdapterTensor*>;

struct AdapterKeys {
  std::map<std::string, AdapterModule> modules;
  std::vector<std::string> unknown;  // keys whose ending means nothing here
};

// kBadInput if the keys belong to a method that cannot be applied. `file` is for messages.
Result<AdapterKeys> SortKeys(const std::map<std::string, ConstTensorView>& tensors,
                             const std::string& file);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_ADAPTER_KEYS_H_
