#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kontext/kontext.h"

namespace kontext {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kFolder = KX_SOURCE_DIR "/tests/data/pictures/";

TEST(MaskFromPixels, ColoursCountByTheirLuma) {
  const auto mask = MaskFromPixels({4, 1, 3, {0, 0, 0, 255, 255, 255, 128, 128, 128, 255, 0, 0}});
  ASSERT_TRUE(mask.ok()) << mask.message();
  EXPECT_THAT(mask->data, ElementsAre(0, 255, 128, 76));  // Pillow's convert("L")
}

TEST(MaskFromPixels, AlphaCountsAloneAndTransparentMayChange) {
  const auto mask = MaskFromPixels({3, 1, 4, {0, 0, 0, 255, 9, 9, 9, 0, 0, 0, 0, 155}});
  ASSERT_TRUE(mask.ok()) << mask.message();
  EXPECT_THAT(mask->data, ElementsAre(0, 255, 100));
}

TEST(MaskFromPixels, OpaqueAlphaIsNoAlpha) {
  EXPECT_THAT(MaskFromPixels({2, 1, 4, {255, 255, 255, 255, 0, 0, 0, 255}})->data,
              ElementsAre(255, 0));
}

TEST(MaskFromPixels, WhiteStrokesOnNothingCanBeReadBothWays) {
  const auto mask = MaskFromPixels({2, 1, 4, {255, 255, 255, 255, 0, 0, 0, 0}});
  EXPECT_EQ(mask.code(), Code::kBadInput);
  EXPECT_THAT(mask.message(), HasSubstr("both ways"));
}

TEST(MaskFromPixels, UnsoundPixelsAreRefused) {
  EXPECT_EQ(MaskFromPixels({2, 1, 3, {1, 2, 3}}).code(), Code::kUsage);
  EXPECT_EQ(MaskFromPixels({2, 1, 1, {1, 2}}).code(), Code::kUsage);
}

// The deep files of tests/data: grey16.png and its like become 8 bits by round(v / 257).
TEST(LoadMask, Reads16BitsAndGreyWithAlpha) {
  const auto deep = LoadMask(kFolder + "grey16.png");
  const auto pixels = LoadPicture(kFolder + "grey16.png");
  ASSERT_TRUE(deep.ok() && pixels.ok()) << deep.message();
  ASSERT_EQ(deep->data.size() * 3, pixels->pixels.data.size());
  for (size_t i = 0; i < deep->data.size(); ++i)
    EXPECT_EQ(deep->data[i], pixels->pixels.data[3 * i]);
  const auto alpha = LoadMask(kFolder + "grey_alpha8.png");
  const auto kept = LoadPicture(kFolder + "grey_alpha8.png", true);
  ASSERT_TRUE(alpha.ok() && kept.ok()) << alpha.message();
  ASSERT_EQ(kept->pixels.channels, 4);
  for (size_t i = 0; i < alpha->data.size(); ++i)
    EXPECT_EQ(alpha->data[i], 255 - kept->pixels.data[4 * i + 3]);
}

TEST(LoadMask, NamesTheFile) { EXPECT_THAT(LoadMask("gone.png").message(), HasSubstr("gone.png")); }

}  // namespace
}  // namespace kontext
