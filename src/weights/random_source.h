// Tensors made up from their names: the same name and seed give the same values on every machine.
#ifndef KONTEXT_WEIGHTS_RANDOM_SOURCE_H_
#define KONTEXT_WEIGHTS_RANDOM_SOURCE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "weights/table.h"

namespace kontext {

// The fill rule of spec architecture 15 (SplitMix64 seeded by the FNV-1a hash of the name):
// matrices u*sqrt(3/fan_in), norm scales 1 + 0.1u, other vectors 0.1u, u in [-1, 1).
class RandomSource : public TensorSource {
 public:
  // kF32 as the goldens were made, or kBF16 (rounded) for benchmarks at full size.
  explicit RandomSource(DType dtype);
  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) override;
  std::vector<std::string> Unasked() const override { return {}; }
  std::string description() const override { return "random"; }

 private:
  DType dtype_;
  std::map<std::string, Tensor> made_;
};

// The generator itself: n raw values u in [-1, 1) for a tensor name.
std::vector<float> FillUniform(const std::string& name, int64_t n);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_RANDOM_SOURCE_H_
