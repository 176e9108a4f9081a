// References that come as latents, and latents that come back (docs/drift.md).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "edit/edit.h"
#include "pipeline/golden_case.h"

namespace kontext::testing {
namespace {

class LatentsTest : public MiniTest {
 protected:
  Result<std::vector<Edited>> Run() {
    return RunEdit(*setup_.model, *setup_.ops, request_, 0, 2, {nullptr, &recorder_});
  }
  Recorder recorder_;
};

TEST_F(LatentsTest, WhatTheEncoderGaveGivesTheSameEdit) {
  const auto encoded = Run();
  ASSERT_TRUE(encoded.ok()) << encoded.message();
  request_.latents = {{128, 128, recorder_.At("reference0.latents")}};
  const auto given = Run();
  ASSERT_TRUE(given.ok()) << given.message();
  EXPECT_EQ(given->front().picture.data, encoded->front().picture.data);
  EXPECT_NE(given->front().recipe.find("\"latents\":true"), std::string::npos);
}

TEST_F(LatentsTest, AnEditHandsOutWhatItWasDecodedFrom) {
  const Edited first = std::move(Run()->front());
  ASSERT_EQ(first.latents.data.size(), 16u * 16u * 16u);
  EXPECT_EQ(first.latents.width, 128);
  request_.images = {first.picture};
  request_.latents = {first.latents};
  const auto next = Run();
  ASSERT_TRUE(next.ok()) << next.message();
  EXPECT_EQ(recorder_.At("reference0.latents"), first.latents.data);
}

TEST_F(LatentsTest, UnsoundOnesAreRefused) {
  const Latents good{128, 128, std::vector<float>(16 * 16 * 16)};
  const auto refused = [&](std::vector<Latents> latents) {
    request_.latents = std::move(latents);
    return Run().code() == Code::kUsage;
  };
  EXPECT_FALSE(refused({good}));
  EXPECT_FALSE(refused({Latents{}}));
  EXPECT_TRUE(refused({good, good}));
  Latents bad = good;
  bad.width = 120;
  EXPECT_TRUE(refused({bad}));
  bad = good;
  bad.height = 1 << 30;
  EXPECT_TRUE(refused({bad}));
  bad = good;
  bad.data.pop_back();
  EXPECT_TRUE(refused({bad}));
  bad = good;
  bad.data[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(refused({bad}));
}

}  // namespace
}  // namespace kontext::testing
