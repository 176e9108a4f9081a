#include "edit/schedule.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace kontext {
namespace {

nlohmann::json Vectors() {
  std::ifstream file(KX_SOURCE_DIR "/tests/data/vectors/vectors_sched_rng.json");
  return nlohmann::json::parse(file);
}

// Every list of the vectors: sigmas are f32, so 2 units in the last place of values up to 1.
TEST(Schedule, SigmasOfTheVectors) {
  const auto vectors = Vectors();
  double worst = 0;
  for (const auto& [name, expected] : vectors["sigmas"].items()) {
    int steps = 0;
    long long tokens = 0;
    ASSERT_EQ(std::sscanf(name.c_str(), "steps%d_tokens%lld", &steps, &tokens), 2) << name;
    const auto sigmas = MakeSchedule(steps, TimeShiftMu({}, tokens));
    ASSERT_EQ(sigmas.size(), expected.size()) << name;
    for (size_t i = 0; i < sigmas.size(); ++i) {
      worst = std::max(worst, std::abs(sigmas[i] - expected[i].get<double>()));
    }
  }
  std::printf("sigmas: worst difference %.2e, bound %.2e\n", worst, 0x1p-22);
  EXPECT_LE(worst, 0x1p-22);
}

TEST(Schedule, MuOfTheVectorsIsNotClamped) {
  const auto vectors = Vectors();
  for (const auto& [tokens, mu] : vectors["mu"].items()) {
    EXPECT_NEAR(TimeShiftMu({}, std::stoll(tokens)), mu.get<double>(), 1e-12);
  }
  EXPECT_NEAR(TimeShiftMu({}, 4150), 1.159141, 1e-6);
}

// ComfyUI: fixed shift 1.15 whatever the size; first 1, then the shifted 1 - int(i*10000/N)/10000.
TEST(Schedule, FixedShiftOfComfyUi) {
  const auto sigmas = MakeFixedShiftSchedule(3);
  ASSERT_EQ(sigmas.size(), 4u);
  const auto shifted = [](double t) { return std::exp(1.15) / (std::exp(1.15) + 1 / t - 1); };
  EXPECT_FLOAT_EQ(sigmas[0], 1.0f);
  EXPECT_FLOAT_EQ(sigmas[1], static_cast<float>(shifted(1 - 0.3333)));
  EXPECT_FLOAT_EQ(sigmas[2], static_cast<float>(shifted(1 - 0.6666)));
  EXPECT_EQ(sigmas[3], 0.0f);
}

}  // namespace
}  // namespace kontext
