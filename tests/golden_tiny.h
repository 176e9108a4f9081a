// spec/golden_tiny.json for the tests of the networks: BFL's own code at tiny sizes, with weights
// made up from their names (spec architecture 15).
#ifndef KONTEXT_TESTS_GOLDEN_TINY_H_
#define KONTEXT_TESTS_GOLDEN_TINY_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "compute/registry.h"
#include "tensor/observer.h"
#include "weights/loader.h"
#include "weights/random_source.h"

namespace kontext {

// A backend with one of its activation dtypes.
struct TinyBackend {
  std::string name, dtype;
};
inline void PrintTo(const TinyBackend& backend, std::ostream* out) {
  *out << backend.name << "_" << backend.dtype;
}
inline std::vector<TinyBackend> TinyBackends(const std::string& dtype) {
  std::vector<TinyBackend> all;
  for (const std::string& name : BackendNames()) all.push_back({name, dtype});
  return all;
}
inline std::string TinyBackendName(const testing::TestParamInfo<TinyBackend>& info) {
  return info.param.name + "_" + info.param.dtype;
}
inline std::unique_ptr<Ops> MakeTinyOps(const TinyBackend& backend) {
  auto ops = MakeOps({backend.name, backend.dtype});
  EXPECT_TRUE(ops.ok()) << ops.message();
  return ops.ok() ? std::move(*ops) : nullptr;
}

// RandomSource, with one element of one tensor a tenth off where KX_NUDGE names that tensor:
// the twins in tests/must_fail set it.
class TinySource : public TensorSource {
 public:
  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) override {
    auto found = random_.Find(name, shape);
    const char* nudged = std::getenv("KX_NUDGE");
    if (!found.ok() || nudged == nullptr || name != nudged) return found;
    const float* values = found->at(0).dense().As<float>();
    copy_.assign(values, values + shape.NumElements());
    copy_[0] += 0.1f;
    return std::vector<WeightRows>{
        ViewOf(static_cast<const float*>(copy_.data()), found->at(0).shape())};
  }
  std::vector<std::string> Unasked() const override { return {}; }
  std::string description() const override { return "tiny"; }

 private:
  RandomSource random_{DType::kF32};
  std::vector<float> copy_;
};

// Keeps every observed tensor as F32; optionally cancels at the n-th question.
class TinyRecorder : public Observer {
 public:
  explicit TinyRecorder(int cancel_at = -1) : cancel_at_(cancel_at) {}
  void OnTensor(std::string_view name, ConstTensorView value) override {
    std::vector<float>& kept = tensors[std::string(name)];
    kept.clear();
    for (int64_t i = 0; i < value.shape().NumElements(); ++i) {
      kept.push_back(value.dtype() == DType::kF32 ? value.As<float>()[i]
                                                  : ToFloat(value.As<BF16>()[i]));
    }
  }
  bool Cancelled() override { return asked++ == cancel_at_; }

  std::map<std::string, std::vector<float>> tensors;
  int asked = 0;

 private:
  int cancel_at_;
};

// [h,w,C] as BFL has it, [C,h,w].
inline std::vector<float> ChannelsFirst(const std::vector<float>& v, int64_t channels) {
  const size_t c = static_cast<size_t>(channels), pixels = v.size() / c;
  std::vector<float> out(v.size());
  for (size_t p = 0; p < pixels; ++p) {
    for (size_t i = 0; i < c; ++i) out[i * pixels + p] = v[p * c + i];
  }
  return out;
}
inline std::vector<float> ChannelsLast(const std::vector<float>& v, int64_t channels) {
  return ChannelsFirst(v, static_cast<int64_t>(v.size()) / channels);
}

// Root mean square of got - want, over that of want.
inline double RelativeRms(const std::vector<float>& got, const std::vector<float>& want) {
  EXPECT_EQ(got.size(), want.size());
  double error = 0, norm = 0;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    const double d = static_cast<double>(got[i]) - static_cast<double>(want[i]);
    error += d * d;
    norm += static_cast<double>(want[i]) * static_cast<double>(want[i]);
  }
  return std::sqrt(error / norm);
}

// `got` against the golden `key`: its first six and last three values, sum and sum of squares, to
// the spec's 1e-4. A value's scale is the tensor's root mean square, or the value itself if larger.
inline void ExpectGolden(const std::string& key, const std::vector<float>& got) {
  constexpr double kTolerance = 1e-4;
  std::ifstream file(std::string(KX_SOURCE_DIR) + "/tests/data/vectors/golden_tiny.json");
  const nlohmann::json golden = nlohmann::json::parse(file).at(key);
  const auto first = golden.at("first").get<std::vector<double>>();
  const auto last = golden.at("last").get<std::vector<double>>();
  const double n = static_cast<double>(got.size());
  ASSERT_GE(got.size(), first.size() + last.size()) << key;
  const double rms = std::sqrt(golden.at("sumsq").get<double>() / n);
  double worst = 0;
  const auto compare = [&](double value, double want, double scale) {
    const double error = std::abs(value - want) / scale;
    if (!(error <= worst)) worst = error;  // keeps a NaN, too
  };
  for (size_t i = 0; i < first.size(); ++i) {
    compare(got[i], first[i], std::max(rms, std::abs(first[i])));
  }
  for (size_t i = 0; i < last.size(); ++i) {
    compare(got[got.size() - last.size() + i], last[i], std::max(rms, std::abs(last[i])));
  }
  double sum = 0, sum_of_squares = 0;
  for (float v : got) {
    sum += static_cast<double>(v);
    sum_of_squares += static_cast<double>(v) * static_cast<double>(v);
  }
  compare(sum, golden.at("sum").get<double>(), std::sqrt(n) * rms);
  compare(sum_of_squares, golden.at("sumsq").get<double>(), n * rms * rms);
  std::printf("  %-18s worst relative difference %.1e, bound %.0e\n", key.c_str(), worst,
              kTolerance);
  EXPECT_LE(worst, kTolerance) << key;
}

// What `roundings` independent BF16 roundings along the way add up to, as relative root mean
// square: each is uniform within u = 2^-8 of its value, so u / sqrt(3), and a network with residual
// streams and norms does not amplify them (gain 1).
inline double Bf16Bound(double roundings) { return 0x1p-8 * std::sqrt(roundings / 3); }

}  // namespace kontext

#endif  // KONTEXT_TESTS_GOLDEN_TINY_H_
