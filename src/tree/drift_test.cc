#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kontext/tree.h"

namespace kontext {
namespace {

Pixels Checks(int size, int light, int dark) {
  Pixels p{size, size, 3, {}};
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x)
      p.data.insert(p.data.end(), 3, static_cast<uint8_t>((x + y) % 2 == 0 ? light : dark));
  }
  return p;
}

Mask Nothing(int size) {
  return {size, size, std::vector<uint8_t>(static_cast<size_t>(size * size), 0)};
}

TEST(Drift, EqualPicturesHaveNone) {
  const auto d = MeasureDrift(Checks(8, 200, 100), Checks(8, 200, 100), Nothing(8));
  ASSERT_TRUE(d);
  EXPECT_EQ(d->psnr_db, std::numeric_limits<double>::infinity());
  EXPECT_EQ(d->colour_shift, 0);
  EXPECT_EQ(d->sharpness, 1);
  EXPECT_EQ(d->share, 1);
}

// Every byte off by 10: 20 log10(25.5) dB; grey 0 and 255 are L* 0 and 100.
TEST(Drift, NumbersOfKnownPictures) {
  const auto d = MeasureDrift(Checks(8, 200, 100), Checks(8, 210, 110), Nothing(8));
  EXPECT_NEAR(d->psnr_db, 20 * std::log10(25.5), 1e-9);
  EXPECT_NEAR(d->sharpness, 1, 1e-9);
  const auto black_to_white = MeasureDrift(Checks(8, 0, 0), Checks(8, 255, 255), Nothing(8));
  EXPECT_NEAR(black_to_white->colour_shift, 100, 0.01);
  // Half the contrast is half the Laplacian.
  EXPECT_NEAR(MeasureDrift(Checks(8, 200, 100), Checks(8, 175, 125), Nothing(8))->sharpness, 0.5,
              1e-9);
}

TEST(Drift, WhatWasEditedDoesNotCount) {
  Pixels now = Checks(8, 200, 100);
  Mask edited = Nothing(8);
  for (size_t i = 0; i < 16; ++i) {
    edited.data[i] = 255;
    for (size_t c = 0; c < 3; ++c) now.data[3 * i + c] = 0;
  }
  const auto d = MeasureDrift(Checks(8, 200, 100), now, edited);
  EXPECT_EQ(d->psnr_db, std::numeric_limits<double>::infinity());
  EXPECT_EQ(d->share, 0.75);
  edited.data.assign(64, 255);
  EXPECT_FALSE(MeasureDrift(Checks(8, 200, 100), now, edited));
  EXPECT_FALSE(MeasureDrift(Checks(9, 200, 100), now, edited));
}

TEST(Drift, EditedBlocksAreThoseThatChangedAndTheirNeighbours) {
  Pixels after = Checks(40, 120, 110);
  for (size_t y = 16; y < 24; ++y) {
    for (size_t x = 16; x < 24; ++x) {
      for (size_t c = 0; c < 3; ++c) after.data[3 * (y * 40 + x) + c] = 255;
    }
  }
  const Mask mask = EditedBlocks(Checks(40, 122, 112), after);
  for (size_t y = 0; y < 40; ++y) {
    for (size_t x = 0; x < 40; ++x) {
      const bool near = x >= 8 && x < 32 && y >= 8 && y < 32;
      EXPECT_EQ(mask.data[y * 40 + x], near ? 255 : 0) << x << "," << y;
    }
  }
  EXPECT_THAT(EditedBlocks(Checks(8, 1, 1), after).data, ::testing::Each(255));
}

}  // namespace
}  // namespace kontext
