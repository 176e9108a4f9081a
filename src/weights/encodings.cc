#include "weights/encodings.h"

namespace kontext {

Result<WeightMap> FoldEncodings(const std::map<std::string, ConstTensorView>& raw,
                                const std::map<std::string, std::string>&, const std::string&) {
  WeightMap weights;
  for (const auto& [name, tensor] : raw) weights.emplace(name, tensor);
  return weights;
}

}  // namespace kontext
