#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/bf16.h"

namespace kontext {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kSeeds[] = {0, 42, 123, 4294967303};  // the last one has a bit above the 32nd
constexpr int64_t kLatents = 16 * 128 * 128;             // of a 1024 x 1024 picture

// torch's own last bits depend on its SIMD path (spec architecture 13).
constexpr double kTorchBound = 2e-6;

Json RandnVectors() {
  std::ifstream file(KX_SOURCE_DIR "/tests/data/vectors/vectors_sched_rng.json");
  return Json::parse(file)["randn"];
}

// The largest difference between the vector's first8 and last4 and ours.
double WorstEnd(const Json& want, const std::vector<float>& got) {
  double worst = 0;
  const Json& first = want["first8"];
  const Json& last = want["last4"];
  EXPECT_EQ(first.size() + last.size(), 12u);
  for (size_t i = 0; i < first.size(); ++i) {
    worst = std::max(worst, std::abs(first[i].get<double>() - double{got[i]}));
  }
  for (size_t i = 0; i < last.size(); ++i) {
    const double ours = got[got.size() - last.size() + i];
    worst = std::max(worst, std::abs(last[i].get<double>() - ours));
  }
  return worst;
}

double Sum(const std::vector<float>& x, bool squares) {
  double sum = 0;
  for (float v : x) sum += squares ? double{v} * double{v} : double{v};
  return sum;
}

TEST(Rng, TorchF32) {
  const Json vectors = RandnVectors();
  for (uint64_t seed : kSeeds) {
    const Json& want = vectors["f32_seed" + std::to_string(seed) + "_1x16x128x128"];
    const std::vector<float> got = DrawNormal(NoiseStream::kTorchF32, seed, kLatents);
    const double worst = WorstEnd(want, got);
    const double sum = std::abs(want["sum"].get<double>() - Sum(got, false));
    const double squares = std::abs(want["sumsq"].get<double>() - Sum(got, true));
    // About 17 of 100 values differ (torch 2.13), by at most 5e-7. Errors of random sign
    // add up as the root of their number, here at 5 sigma; a square's error is 2 |x| times the
    // value's, and |x| is 1 in the quadratic mean.
    const double sum_bound = 5 * std::sqrt(0.17 * double{kLatents}) * 5e-7;
    std::cout << "seed " << seed << ": values " << worst << " of " << kTorchBound << ", sum " << sum
              << " of " << sum_bound << ", squares " << squares << " of " << 2 * sum_bound << "\n";
    EXPECT_LE(worst, kTorchBound);
    EXPECT_LE(sum, sum_bound);
    EXPECT_LE(squares, 2 * sum_bound);
  }
}

TEST(Rng, OtherSizesHaveTheSameBeginning) {
  const Json vectors = RandnVectors();
  for (uint64_t seed : kSeeds) {
    const Json& want = vectors["f32_seed" + std::to_string(seed) + "_1x16x94x174"];
    const std::vector<float> got = DrawNormal(NoiseStream::kTorchF32, seed, 16 * 94 * 174);
    EXPECT_EQ(want.size(), 4u);
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(double{got[i]}, want[i].get<double>(), kTorchBound);
    }
  }
}

// Our f32 value may round to the neighbour of torch's bf16 value: one step of 8 bits.
TEST(Rng, TorchBF16IsTheRoundedF32Stream) {
  const Json vectors = RandnVectors();
  for (uint64_t seed : kSeeds) {
    const Json& want = vectors["bf16_seed" + std::to_string(seed) + "_1x16x128x128"];
    const std::vector<float> got = DrawNormal(NoiseStream::kTorchBF16, seed, kLatents);
    EXPECT_EQ(WorstEnd(want, got), 0) << seed;
    const std::vector<float> f32 = DrawNormal(NoiseStream::kTorchF32, seed, kLatents);
    for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], RoundToBF16(f32[i]));
  }
}

TEST(Rng, Torch1BF16) {
  const Json vectors = RandnVectors();
  for (uint64_t seed : kSeeds) {
    const Json& want = vectors["torch1_bf16_seed" + std::to_string(seed) + "_1x16x128x128"];
    const std::vector<float> got = DrawNormal(NoiseStream::kTorch1BF16, seed, kLatents);
    EXPECT_EQ(WorstEnd(want, got), 0) << seed;
    // Every value is a bf16 number, so equal streams have equal sums but for the summing order:
    // n additions of doubles of size up to the running sum, below 1000 and 3e5.
    EXPECT_NEAR(Sum(got, false), want["sum"].get<double>(), double{kLatents} * 0x1p-53 * 1e3);
    EXPECT_NEAR(Sum(got, true), want["sumsq"].get<double>(), double{kLatents} * 0x1p-53 * 3e5);
  }
}

// The known answers of Random123 (kat_vectors, philox4x32 10).
TEST(Rng, PhiloxKnownAnswers) {
  using Four = std::array<uint32_t, 4>;
  constexpr uint32_t kOnes = 0xFFFFFFFF;
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// torch.randn(12, device="cuda") after torch.manual_seed(0), as the stable-diffusion-webui's
// rng_philox.py prints it: eight decimals.
TEST(Rng, PhiloxAsTorchOnCuda) {
  const double want[] = {-0.92466259, -0.42534415, -2.6438457,  0.14518388,
                         -0.12086647, -0.57972564, -0.62285122, -0.32838709,
                         -1.07454231, -0.36314407, -1.67105067, 2.26550497};
  const std::vector<float> got = DrawNormal(NoiseStream::kPhilox, 0, 16);
  double worst = 0;
  for (size_t i = 0; i < 12; ++i) worst = std::max(worst, std::abs(want[i] - double{got[i]}));
  std::cout << "worst " << worst << " of " << kTorchBound << "\n";
  EXPECT_LE(worst, kTorchBound);
}

TEST(Rng, PhiloxUsesAll64BitsOfTheSeed) {
  EXPECT_NE(DrawNormal(NoiseStream::kPhilox, 7, 16),
            DrawNormal(NoiseStream::kPhilox, 7 + (uint64_t{1} << 32), 16));
  EXPECT_EQ(DrawNormal(NoiseStream::kTorchF32, 7, 16),
            DrawNormal(NoiseStream::kTorchF32, 7 + (uint64_t{1} << 32), 16));
}

// Moments of n normal values: the mean has variance 1/n, the mean square 2/n, the third and fourth
// powers 15/n and 96/n. torch 1.x's 8-bit uniforms lack tails, so its spread is smaller by design.
TEST(Rng, AreStandardNormal) {
  const double n = double{kLatents};
  for (NoiseStream stream :
       {NoiseStream::kTorchF32, NoiseStream::kTorchBF16, NoiseStream::kPhilox}) {
    const std::vector<float> x = DrawNormal(stream, 2026, kLatents);
    double m[5] = {};
    for (float v : x) {
      double power = 1;
      for (double& moment : m) {
        moment += power / n;
        power *= double{v};
      }
    }
    const double want[] = {1, 0, 1, 0, 3}, variance[] = {0, 1, 2, 15, 96};
    for (int k = 1; k <= 4; ++k) {
      const double bound = 5 * std::sqrt(variance[k] / n);
      EXPECT_NEAR(m[k], want[k], bound) << "stream " << static_cast<int>(stream) << " moment " << k;
    }
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    EXPECT_LT(*low, -4);  // of 262,144 values eight lie below -4
    EXPECT_GT(*high, 4);
    EXPECT_TRUE(std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); }));
  }
}

TEST(Rng, CountsThatAreNone) {
  EXPECT_TRUE(DrawNormal(NoiseStream::kTorchF32, 1, 0).empty());
  EXPECT_TRUE(DrawNormal(NoiseStream::kPhilox, 1, -16).empty());
}

}  // namespace
}  // namespace kontext
