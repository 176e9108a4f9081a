#include "edit/mask.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace kontext {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

EditRequest Masking(int width, int height, Mask mask, int feather_px = 0) {
  EditRequest r;
  r.images = {{width, height, 3, std::vector<uint8_t>(static_cast<size_t>(3 * width * height))}};
  r.mask = std::move(mask);
  r.feather_px = feather_px;
  return r;
}

// One row of a mask.
Mask Row(std::vector<uint8_t> values) { return {static_cast<int>(values.size()), 1, values}; }

std::vector<uint8_t> Weights(const EditRequest& r) {
  const auto weights = WeighMask(r);
  EXPECT_TRUE(weights.ok()) << weights.message();
  return weights.ok() ? weights->values : std::vector<uint8_t>{};
}

Status Check(const EditRequest& r) {
  std::vector<std::string> notes;
  return CheckMask(r, EditLimits{}, notes);
}

TEST(Mask, WithoutFeatherWeightsAreItsValues) {
  EXPECT_THAT(Weights(Masking(4, 1, Row({0, 255, 128, 1}))), ElementsAre(0, 255, 128, 1));
}

// d / 3 of 255, and of the grey 90; the picture's border is no edge.
TEST(Mask, FeatherFadesInsideTheEdge) {
  EXPECT_THAT(Weights(Masking(6, 1, Row({0, 255, 255, 255, 255, 255}), 2)),
              ElementsAre(0, 85, 170, 255, 255, 255));
  EXPECT_THAT(Weights(Masking(5, 1, Row({0, 90, 90, 90, 0}), 2)), ElementsAre(0, 30, 60, 30, 0));
}

TEST(Mask, WhiteAllOverHasNoEdge) {
  const EditRequest r = Masking(3, 2, {3, 2, std::vector<uint8_t>(6, 255)}, 5);
  std::vector<std::string> notes;
  EXPECT_TRUE(CheckMask(r, EditLimits{}, notes).ok());
  EXPECT_THAT(notes, ElementsAre(HasSubstr("white all over")));
  EXPECT_THAT(Weights(r), Each(255));
}

// Against the definition: the nearest black pixel, looked for everywhere.
TEST(Mask, FeatherIsTheDistanceToTheNearestBlackPixel) {
  constexpr int kWidth = 37, kHeight = 23, kFeather = 6;
  Mask mask{kWidth, kHeight, std::vector<uint8_t>(kWidth * kHeight, 255)};
  uint32_t state = 1;
  for (int i = 0; i < 12; ++i) {
    state = state * 1664525u + 1013904223u;
    mask.data[(state >> 8) % mask.data.size()] = 0;
  }
  const std::vector<uint8_t> weights = Weights(Masking(kWidth, kHeight, mask, kFeather));
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      double nearest = std::numeric_limits<double>::infinity();
      for (int v = 0; v < kHeight; ++v) {
        for (int u = 0; u < kWidth; ++u) {
          if (mask.data[static_cast<size_t>(v * kWidth + u)] == 0)
            nearest = std::min(nearest, std::hypot(x - u, y - v));
        }
      }
      const double want = 255 * std::min(1.0, nearest / (kFeather + 1));
      EXPECT_NEAR(weights[static_cast<size_t>(y * kWidth + x)], want, 0.51) << x << "," << y;
    }
  }
}

TEST(Mask, OfAnotherSizeIsScaledAndSaidOfAnotherAspectRefused) {
  const EditRequest twice = Masking(4, 2, {2, 1, {0, 200}});
  std::vector<std::string> notes;
  EXPECT_TRUE(CheckMask(twice, EditLimits{}, notes).ok());
  EXPECT_THAT(notes, ElementsAre(HasSubstr("2x1 scaled to the picture's 4x2")));
  EXPECT_THAT(Weights(twice), ElementsAre(0, 0, 200, 200, 0, 0, 200, 200));
  EXPECT_THAT(Check(Masking(4, 2, {2, 2, {0, 0, 255, 255}})).message(),
              HasSubstr("is 2x2, the picture 4x2"));
  // One pixel of rounding at 1001x1000 is no other aspect.
  EXPECT_TRUE(Check(Masking(1001, 1000, {500, 500, std::vector<uint8_t>(250000, 255)})).ok());
}

TEST(Mask, ThatLetsNothingChangeIsRefused) {
  EXPECT_EQ(WeighMask(Masking(2, 1, Row({0, 0}))).code(), Code::kUsage);
  // 1/255 at most, of which a feather leaves nothing.
  EXPECT_THAT(WeighMask(Masking(2, 1, Row({0, 1}), 9)).message(), HasSubstr("feather 9"));
}

TEST(Mask, UnsoundRequestsAreRefused) {
  EditRequest r = Masking(2, 1, {2, 1, {255}});
  EXPECT_THAT(Check(r).message(), HasSubstr("2x1 with 1 bytes"));
  r = Masking(2, 1, Row({255, 0}), -1);
  EXPECT_THAT(Check(r).message(), HasSubstr("feather -1"));
  r.feather_px = 3;
  r.mask.reset();
  EXPECT_THAT(Check(r).message(), HasSubstr("there is no mask"));
  r = Masking(2, 1, Row({255, 0}));
  r.like = Like::kComfyUi;
  EXPECT_THAT(Check(r).message(), HasSubstr("crop"));
  r.like = Like::kOurs;
  r.images.clear();
  EXPECT_THAT(Check(r).message(), HasSubstr("no picture"));
}

// A line of one pixel frees every cell that it crosses, where a look at cell centres misses it.
TEST(Mask, CellsAreFreeWhereAnyPixelIs) {
  Mask line{16, 16, std::vector<uint8_t>(256, 0)};
  for (size_t y = 0; y < 8; ++y) line.data[y * 16 + 9] = 1;
  const auto weights = WeighMask(Masking(16, 16, line));
  EXPECT_THAT(weights->Cells(2, 2), ElementsAre(0, 1, 0, 0));
  // Cells that do not divide the picture: pixel 9 of 16 belongs to the middle third.
  EXPECT_THAT(weights->Cells(1, 3), ElementsAre(0, 1, 0));
}

TEST(Mask, PastesByWeightAndKeepsAlpha) {
  const Pixels picture{3, 1, 4, {10, 20, 30, 7, 10, 20, 30, 8, 10, 20, 30, 9}};
  const Pixels edit{3, 1, 3, std::vector<uint8_t>(9, 110)};
  const Pixels out = *PasteBack(picture, edit, {{3, 1}, {0, 51, 255}});
  EXPECT_THAT(out.data, ElementsAre(10, 20, 30, 7, 30, 38, 46, 8, 110, 110, 110, 9));
}

}  // namespace
}  // namespace kontext
