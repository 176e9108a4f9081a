#include "dit/embed.h"

#include <gtest/gtest.h>

namespace kontext {
namespace {

TEST(Timestep, RoundsAsEachProgramDoes) {  // spec architecture 7
  using enum TimestepPrecision;
  EXPECT_EQ(ScaledTimestep(0.75f, kExact), 750.0f);
  EXPECT_EQ(ScaledTimestep(0.9825f, kBfl), 984.0f);
  EXPECT_EQ(ScaledTimestep(0.9825f, kDiffusers), 984.0f);
  EXPECT_EQ(ScaledTimestep(0.9045308f, kBfl), 908.0f);
  EXPECT_EQ(ScaledTimestep(0.9045308f, kDiffusers), 904.0f);
  EXPECT_FLOAT_EQ(ScaledTimestep(0.9045308f, kExact), 904.5308f);
}

TEST(Guidance, RoundsAsEachProgramDoes) {
  EXPECT_EQ(ScaledGuidance(2.5f, TimestepPrecision::kExact), 2500.0f);
  for (const auto p : {TimestepPrecision::kBfl, TimestepPrecision::kDiffusers}) {
    EXPECT_EQ(ScaledGuidance(2.5f, p), 2496.0f);
    EXPECT_EQ(ScaledGuidance(3.5f, p), 3504.0f);
    EXPECT_EQ(ScaledGuidance(3.0f, p), 3008.0f);
    EXPECT_EQ(ScaledGuidance(4.0f, p), 4000.0f);
  }
}

TEST(TimestepEmbedding, HasTheSpecsValues) {
  const std::vector<float> e = TimestepEmbedding(1000.0f);
  ASSERT_EQ(e.size(), 256u);
  const std::pair<size_t, double> want[] = {{0, 0.56237906},   {1, 0.78962666},
                                            {64, -0.83907151}, {127, 0.99423164},
                                            {128, 0.82687956}, {255, 0.10725406}};
  // A float's rounding, and the spec's at its eighth decimal.
  constexpr double kBound = 0x1p-25 + 0.5e-8;
  for (const auto& [i, value] : want) {
    EXPECT_NEAR(e[i], value, kBound) << i;
    printf("embedding[%zu]: off by %.2g, bound %.2g\n", i, std::abs(double{e[i]} - value), kBound);
  }
}

}  // namespace
}  // namespace kontext
