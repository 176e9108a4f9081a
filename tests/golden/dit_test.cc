// The transformer against BFL's own code at a tiny size (golden_tiny.json), on every backend; and
// what must not depend on the layout of the file, the activations' dtype or the number of steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "golden/flux_layouts.h"
#include "golden/tiny_dit.h"
#include "weights/dialect.h"

namespace kontext {
namespace {

nlohmann::json Goldens() {
  std::ifstream file(KX_SOURCE_DIR "/tests/data/vectors/golden_tiny.json");
  return nlohmann::json::parse(file);
}

class DitGolden : public testing::TestWithParam<std::string> {
 protected:
  BackendOptions F32() const { return {GetParam(), "f32"}; }

  // Runs the tiny network and keeps what it shows.
  Recorder Record(int64_t depth_single, int64_t target_tokens) {
    DitConfig config = TinyConfig();
    config.depth_single = depth_single;
    TinySource source;
    TinyDit dit(config, source, F32());
    dit.inputs.target_tokens = target_tokens;
    Recorder recorder;
    dit.Run(0, &recorder);
    return recorder;
  }

  // 1e-4 (spec architecture 15) of the tensor's root mean square, for elements; of the root of its
  // sum of squares, for the sum: near zero a relative error says nothing.
  void Expect(const std::string& key, const Values& got) {
    const auto& want = goldens_.at("flux." + key);
    ASSERT_GE(got.size(), 9u) << key;
    double sum = 0, sum_of_squares = 0;
    for (const float x : got) {
      sum += double{x};
      sum_of_squares += double{x} * double{x};
    }
    const double norm = std::sqrt(want["sumsq"].get<double>());
    const double rms = norm / std::sqrt(static_cast<double>(got.size()));
    double worst = std::max(std::abs(sum - want["sum"].get<double>()) / norm,
                            std::abs(sum_of_squares / want["sumsq"].get<double>() - 1.0));
    for (size_t i = 0; i < 6; ++i) {
      worst = std::max(worst, std::abs(double{got[i]} - want["first"][i].get<double>()) / rms);
    }
    for (size_t i = 0; i < 3; ++i) {
      worst = std::max(
          worst, std::abs(double{got[got.size() - 3 + i]} - want["last"][i].get<double>()) / rms);
    }
    printf("%s: flux.%s off by %.2g, bound 1e-4\n", GetParam().c_str(), key.c_str(), worst);
    EXPECT_LE(worst, 1e-4) << key;
  }

  nlohmann::json goldens_ = Goldens();
};

TEST_P(DitGolden, EveryStage) {
  Recorder run = Record(2, 6);
  for (const char* key : {"time_in", "guidance_in", "vector_in", "d0.img_mod.lin", "d0.img_qkv",
                          "double0.img", "double0.txt", "double1.img", "double1.txt", "single0"}) {
    Expect(key, run.seen[key]);
  }
  Expect("out_gen_tokens", run.seen["out"]);
}

// The last single block computes the target rows only; as the last but one it computes all.
TEST_P(DitGolden, TheLastSingleBlock) {
  Recorder longer = Record(3, 6);
  Expect("single1", longer.seen["single1"]);
  // And its saving is exact up to the order of a product's sums.
  const Values all = longer.seen["single1"], target = Record(2, 6).seen["single1"];
  ASSERT_EQ(target.size(), 6u * 64);
  const Values same_rows(all.begin() + 5 * 64, all.begin() + 11 * 64);
  const double error = RelativeError(target, same_rows), bound = 320 * 0x1p-24;  // K of linear2
  printf("%s: target rows off by %.2g, bound %.2g\n", GetParam().c_str(), error, bound);
  EXPECT_LE(error, bound);
}

TEST_P(DitGolden, AllImageTokensAsTarget) { Expect("out_all", Record(2, 10).seen["out"]); }

TEST_P(DitGolden, GuidanceAndOrderOfIdsMatter) {
  TinySource source;
  TinyDit dit(TinyConfig(), source, F32());
  const Values velocity = dit.Run();
  dit.inputs.guidance = 3.5f;
  EXPECT_GT(RelativeError(dit.Run(), velocity), 1e-3);
  dit.inputs.guidance = 2.5f;
  for (TokenId& id : dit.inputs.ids) std::swap(id[1], id[2]);  // columns before rows
  EXPECT_GT(RelativeError(dit.Run(), velocity), 1e-3);
  for (TokenId& id : dit.inputs.ids) std::swap(id[1], id[2]);
  for (size_t i = 11; i < 15; ++i) dit.inputs.ids[i][0] = 0;  // the reference on the target's plane
  EXPECT_GT(RelativeError(dit.Run(), velocity), 1e-3);
  for (size_t i = 11; i < 15; ++i) dit.inputs.ids[i][0] = 1;
  EXPECT_EQ(dit.Run(), velocity);
}

TEST_P(DitGolden, SchnellHasNoGuidance) {
  DitConfig config = TinyConfig();
  config.guidance = false;
  TinySource source;
  TinyDit dit(config, source, F32());
  Recorder recorder;
  const Values velocity = dit.Run(0, &recorder);
  EXPECT_FALSE(recorder.seen.contains("guidance_in"));
  dit.inputs.guidance = 7.0f;
  EXPECT_EQ(dit.Run(), velocity);
}

// Pitfall 1: the same numbers in BFL's and in Diffusers' layout give the same bits.
TEST_P(DitGolden, LayoutsAreBitEqual) {
  const DitConfig c = TinyConfig();
  RandomSource random(DType::kF32);
  DitWeights shapes;
  const auto run = [&](Layout layout, const char* dialect) {
    LayoutWriter writer(layout, c.hidden, random);
    VisitDit(c, shapes, writer);
    auto source =
        CheckpointSource::Create(writer.tensors(), "tiny.safetensors",
                                 TransformerDialects({c.depth, c.depth_single, c.hidden, c.mlp}));
    EXPECT_TRUE(source.ok()) << source.message();
    EXPECT_EQ((*source)->dialect(), dialect);
    return TinyDit(c, **source, F32()).Run();
  };
  const Values bfl = run(Layout::kBfl, "BFL");
  Values direct = TinyDit(c, random, F32()).Run();
  EXPECT_EQ(bfl, direct);
  EXPECT_EQ(run(Layout::kDiffusers, "Diffusers"), direct);
  EXPECT_EQ(run(Layout::kDiffusersFused, "Diffusers"), direct);
}

TEST_P(DitGolden, StepsAreComputedTogetherAsAlone) {
  TinySource source;
  TinyDit dit(TinyConfig(), source, F32());
  const std::vector<float> steps = {1.0f, 0.75f, 0.25f};
  for (size_t i = 0; i < steps.size(); ++i) {
    dit.inputs.timesteps = steps;
    const Values together = dit.Run(static_cast<int>(i));
    dit.inputs.timesteps = {steps[i]};
    const Values alone = dit.Run();
    // Another number of rows may change the order of a product's sums: at most K terms.
    const double error = RelativeError(together, alone), bound = 320 * 0x1p-24;
    printf("%s: step %zu off by %.2g, bound %.2g\n", GetParam().c_str(), i, error, bound);
    EXPECT_LE(error, bound);
  }
}

// Roundings to bf16 in series, each by at most half a unit and unrelated to the others: their
// squares add up. Per double block: norm, qkv, q/k/v, attention, norm, mlp; per single block: norm,
// qkv, q/k/v, attention | mlp; and the last norm.
TEST_P(DitGolden, Bf16ActivationsStayWithinTheirRounding) {
  const DitConfig c = TinyConfig();
  RandomSource source(DType::kBF16);
  const Values f32 = TinyDit(c, source, F32()).Run();
  auto ops = MakeOps({GetParam(), "bf16"});
  if (!ops.ok()) GTEST_SKIP() << ops.message();
  const Values bf16 = TinyDit(c, source, {GetParam(), "bf16"}).Run();
  const double roundings = static_cast<double>(6 * c.depth + 4 * c.depth_single + 1);
  const double error = RelativeError(bf16, f32), bound = std::sqrt(roundings) * 0x1p-8;
  printf("%s: bf16 off by %.2g, bound %.2g\n", GetParam().c_str(), error, bound);
  EXPECT_LE(error, bound);
  EXPECT_GT(error, 0.0);
}

INSTANTIATE_TEST_SUITE_P(Backends, DitGolden, testing::ValuesIn(BackendNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace kontext
