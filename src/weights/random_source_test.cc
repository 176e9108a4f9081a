#include "weights/random_source.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kontext {
namespace {

TEST(FillUniform, HasTheSpecsFirstValues) {  // spec architecture 15
  const std::vector<float> u = FillUniform("input.img", 4);
  EXPECT_FLOAT_EQ(u[0], 0.888273835f);
  EXPECT_FLOAT_EQ(u[1], -0.20954144f);
  EXPECT_FLOAT_EQ(u[2], 0.438702226f);
  EXPECT_FLOAT_EQ(u[3], 0.455462098f);
}

// The first value again, from the hash the spec gives: a wrong hash cannot hide behind a wrong
// generator.
TEST(FillUniform, StartsFromFnv1a) {
  uint64_t z = 0xfa6de44573c0f7deu + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  const double u = static_cast<double>(z >> 40) / 8388608.0 - 1.0;
  EXPECT_EQ(FillUniform("input.img", 1)[0], static_cast<float>(u));
}

float First(RandomSource& source, const std::string& name, const Shape& shape) {
  const auto found = source.Find(name, shape);
  EXPECT_TRUE(found.ok()) << found.message();
  EXPECT_EQ(found->size(), 1u);
  EXPECT_EQ(found->at(0).shape(), shape);
  return found->at(0).dense().As<float>()[0];
}

TEST(RandomSource, FollowsTheFillRule) {
  RandomSource source(DType::kF32);
  const auto u = [](const char* name) { return double{FillUniform(name, 1)[0]}; };
  const auto near = [](double want) { return static_cast<float>(want); };
  EXPECT_EQ(First(source, "a.weight", {6, 12}), near(u("a.weight") * std::sqrt(3.0 / 12)));
  EXPECT_EQ(First(source, "c.weight", {6, 3, 2, 2}), near(u("c.weight") * std::sqrt(3.0 / 12)));
  EXPECT_EQ(First(source, "norm.weight", {6}), near(1 + 0.1 * u("norm.weight")));
  EXPECT_EQ(First(source, "q.scale", {6}), near(1 + 0.1 * u("q.scale")));
  EXPECT_EQ(First(source, "a.bias", {6}), near(0.1 * u("a.bias")));
}

TEST(RandomSource, GivesTheSameMemoryTwiceAndRoundsForBf16) {
  RandomSource exact(DType::kF32), rounded(DType::kBF16);
  const auto a = rounded.Find("a.weight", {4, 4}), b = rounded.Find("a.weight", {4, 4});
  const auto f = exact.Find("a.weight", {4, 4});
  ASSERT_TRUE(a.ok() && b.ok() && f.ok());
  EXPECT_EQ(a->at(0).dense().data(), b->at(0).dense().data());
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(a->at(0).dense().As<BF16>()[i].bits, ToBF16(f->at(0).dense().As<float>()[i]).bits)
        << i;
  }
}

}  // namespace
}  // namespace kontext
