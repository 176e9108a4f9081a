#include "weights/random_source.h"

#include <cmath>
#include <utility>

namespace kontext {
namespace {

// FNV-1a, 64 bits.
uint64_t HashOf(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// Value i of SplitMix64 started at `seed`, as u in [-1, 1); its 24 bits are exact in a float.
float UniformAt(uint64_t seed, int64_t i) {
  uint64_t z = seed + (static_cast<uint64_t>(i) + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return static_cast<float>(z >> 40) / 0x1p23f - 1.0f;
}

// value = offset + factor * u, by the fill rule of spec architecture 15.
struct FillRule {
  double offset = 0, factor = 0.1;
};
FillRule RuleFor(const std::string& name, const Shape& shape) {
  if (shape.rank() >= 2) {
    const int64_t fan_in = shape.NumElements() / shape[0];
    return {0.0, std::sqrt(3.0 / static_cast<double>(fan_in))};
  }
  if (name.ends_with(".scale") || name.ends_with(".weight")) return {1.0, 0.1};
  return {};
}

}  // namespace

std::vector<float> FillUniform(const std::string& name, int64_t n) {
  const uint64_t seed = HashOf(name);
  std::vector<float> values(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) values[static_cast<size_t>(i)] = UniformAt(seed, i);
  return values;
}

RandomSource::RandomSource(DType dtype) : dtype_(dtype) {}

Result<std::vector<WeightRows>> RandomSource::Find(const std::string& name, const Shape& shape) {
  auto at = made_.find(name);
  if (at == made_.end()) {
    KX_ENSURE(dtype_ == DType::kF32 || dtype_ == DType::kBF16);
    KX_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Allocate(dtype_, shape));
    const FillRule rule = RuleFor(name, shape);
    const uint64_t seed = HashOf(name);
    const int64_t n = shape.NumElements();
    auto fill = [&](auto* data, auto round) {
#pragma omp parallel for schedule(static)
      for (int64_t i = 0; i < n; ++i) {
        data[i] = round(static_cast<float>(rule.offset + rule.factor * double{UniformAt(seed, i)}));
      }
    };
    if (dtype_ == DType::kF32) {
      fill(tensor.view().As<float>(), [](float x) { return x; });
    } else {
      fill(tensor.view().As<BF16>(), [](float x) { return ToBF16(x); });
    }
    at = made_.emplace(name, std::move(tensor)).first;
  }
  return std::vector<WeightRows>{std::as_const(at->second).view()};
}

}  // namespace kontext
