// The tiny transformer of spec architecture 15: sizes, inputs, and how a run of it is recorded.
#ifndef KONTEXT_TESTS_GOLDEN_TINY_DIT_H_
#define KONTEXT_TESTS_GOLDEN_TINY_DIT_H_

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compute/registry.h"
#include "dit/dit.h"
#include "weights/loader.h"
#include "weights/random_source.h"

namespace kontext {

using Values = std::vector<float>;

inline DitConfig TinyConfig() {
  DitConfig c;
  c.in_channels = c.out_channels = 16;
  c.vec = 24;
  c.context = 40;
  c.hidden = 64;
  c.heads = 2;
  c.mlp = 256;
  c.depth = c.depth_single = 2;
  c.axes = {8, 12, 12};
  return c;
}

inline Values ToValues(ConstTensorView view) {  // [rows, n] or [n], F32 or BF16
  Values values;
  const int64_t rows = view.rank() == 2 ? view.dim(0) : 1;
  for (int64_t r = 0; r < rows; ++r) {
    const ConstTensorView row = view.rank() == 2 ? view.At(r) : view;
    for (int64_t i = 0; i < row.dim(0); ++i) {
      values.push_back(row.dtype() == DType::kF32 ? row.As<float>()[i]
                                                  : ToFloat(row.As<BF16>()[i]));
    }
  }
  return values;
}

// Random tensors. With KX_NUDGE=<tensor> in the environment the first weight of that tensor is off
// by 0.05: the golden tests' twin that must fail (tests/must_fail).
class TinySource : public RandomSource {
 public:
  TinySource() : RandomSource(DType::kF32) {}
  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) override {
    auto found = RandomSource::Find(name, shape);
    const char* nudge = std::getenv("KX_NUDGE");
    if (!found.ok() || nudge == nullptr || name != nudge) return found;
    nudged_ = ToValues(found->at(0).dense());
    nudged_[0] += 0.05f;
    return std::vector<WeightRows>{ViewOf(std::as_const(nudged_).data(), shape)};
  }

 private:
  Values nudged_;
};

// Every tensor that the run shows, by name.
class Recorder : public Observer {
 public:
  void OnTensor(std::string_view name, ConstTensorView value) override {
    seen[std::string(name)] = ToValues(value);
  }
  std::map<std::string, Values> seen;
};

// One network on one backend, fed with the golden inputs: 5 text tokens, 3x2 generated ones, 2x2 of
// the reference.
class TinyDit {
 public:
  TinyDit(const DitConfig& config, TensorSource& source, const BackendOptions& backend)
      : config_(config) {
    auto ops = MakeOps(backend);
    EXPECT_TRUE(ops.ok()) << ops.message();
    ops_ = std::move(*ops);
    const Status status =
        LoadWeights([&](WeightVisitor& v) { VisitDit(config_, weights_, v); }, source, *ops_);
    EXPECT_TRUE(status.ok()) << status.message();

    inputs.txt = ViewOf(std::as_const(txt_).data(), {5, 40});
    inputs.pooled = ViewOf(std::as_const(pooled_).data(), {24});
    inputs.ids.assign(5, TokenId{0, 0, 0});
    for (int y = 0; y < 3; ++y) {
      for (int x = 0; x < 2; ++x)
        inputs.ids.push_back({0, static_cast<float>(y), static_cast<float>(x)});
    }
    for (int y = 0; y < 2; ++y) {
      for (int x = 0; x < 2; ++x)
        inputs.ids.push_back({1, static_cast<float>(y), static_cast<float>(x)});
    }
    inputs.target_tokens = 6;
    inputs.timesteps = {0.75f};
  }

  struct Pass {
    int step = 0;
    bool reuse = false;  // ForwardReusing
  };

  // The velocity [Ti, 16] at a step.
  Values Run(int step = 0, Observer* observer = nullptr) {
    return Run({Pass{step, false}}, observer);
  }
  // The last of several passes' velocity.
  Values Run(const std::vector<Pass>& passes, Observer* observer = nullptr) {
    Values velocity(static_cast<size_t>(inputs.target_tokens * config_.out_channels), NAN);
    auto run = DitRun::Create(config_, weights_, inputs, *ops_, observer);
    EXPECT_TRUE(run.ok()) << run.message();
    if (!run.ok()) return velocity;
    const ConstTensorView tokens = ViewOf(std::as_const(tokens_).data(), {10, 16});
    const TensorView out = ViewOf(velocity.data(), {inputs.target_tokens, config_.out_channels});
    for (const Pass& pass : passes) {
      const Status status = pass.reuse ? (*run)->ForwardReusing(pass.step, tokens, out)
                                       : (*run)->Forward(pass.step, tokens, out);
      EXPECT_TRUE(status.ok()) << status.message();
    }
    return velocity;
  }

  DitInputs inputs;

 private:
  DitConfig config_;
  std::unique_ptr<Ops> ops_;
  DitWeights weights_;
  Values tokens_ = FillUniform("input.img", 10 * 16);
  Values txt_ = FillUniform("input.txt", 5 * 40);
  Values pooled_ = FillUniform("input.y", 24);
};

// |a - b| / |b|, as vectors.
inline double RelativeError(const Values& a, const Values& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2);
    size += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(difference / size);
}

}  // namespace kontext

#endif  // KONTEXT_TESTS_GOLDEN_TINY_DIT_H_
