// AdapterNames: what the names in adapter files (LoRA and its kin) mean. Built forward from the
// weight tables and dialects of the networks that are loaded: every product's name in every
// dialect, as it is and with its dots as underscores. No name is ever taken apart (spec lora 2, 3).
#ifndef KONTEXT_WEIGHTS_ADAPTER_NAMES_H_
#define KONTEXT_WEIGHTS_ADAPTER_NAMES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "weights/dialect.h"
#include "weights/table.h"

namespace kontext {

enum class AdaptedNetwork { kTransformer, kClip, kT5 };

// A product as adapters know it: some rows of one of our weights, or all, in our order or not.
struct AdapterTarget {
  struct Piece {
    int64_t row = 0;  // its first row in ours
    RowRange from;    // the rows of the adapter's product that lie there
  };
  std::string layer;              // our name without .weight: "double_blocks.0.img_attn.qkv"
  int64_t rows = 0, columns = 0;  // of the adapter's product
  bool has_bias = false;          // of ours
  std::vector<Piece> pieces;
};

class AdapterNames {
 public:
  // All products that `visit` shows, under their names in all `dialects`.
  void Add(AdaptedNetwork network, const std::function<void(WeightVisitor&)>& visit,
           const std::vector<NameTable>& dialects);

  // A name that was understood. The pointer is valid as long as the AdapterNames.
  struct Match {
    const AdapterTarget* target = nullptr;  // null: not understood
    AdaptedNetwork network = AdaptedNetwork::kTransformer;
    std::string prefix;   // what stood before the product's name: "lora_unet_"
    std::string product;  // the name after it
    std::string dialect;  // whose name that is: "BFL", "Diffusers", "XLabs", "Hugging Face"
  };
  // `module`: a key of the file without its ending (.lora_A.weight and so on).
  Match Find(const std::string& module) const;

 private:
  struct Named {
    AdapterTarget target;
    std::string dialect;
  };
  using Names = std::map<std::string, Named>;

  void AddName(AdaptedNetwork network, const std::string& name, const AdapterTarget& target,
               const std::string& dialect);
  void AddDialect(AdaptedNetwork network, const NameTable& dialect, const AdapterTarget& whole);
  void AddXLabs(const AdapterTarget& whole);

  std::map<AdaptedNetwork, Names> dotted_;
  std::map<AdaptedNetwork, std::map<std::string, std::string>> flat_;  // flattened -> dotted
};

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_ADAPTER_NAMES_H_
