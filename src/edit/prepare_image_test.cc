#include "edit/prepare_image.h"

#include <gtest/gtest.h>

namespace kontext {
namespace {

// pitfalls 36: -1.2, -1, 0, 0.999, 1, 1.3 -> 0, 0, 128 (127.5 to even), 255, 255, 255.
TEST(PrepareImage, BytesAreClampedAndRoundedHalfToEven) {
  const float values[6] = {-1.2f, -1.0f, 0.0f, 0.999f, 1.0f, 1.3f};
  const Pixels p = *ToPixels(ViewOf(values, {1, 2, 3}));
  EXPECT_EQ(p.data, (std::vector<uint8_t>{0, 0, 128, 255, 255, 255}));
}

TEST(PrepareImage, EveryByteSurvivesTheWayThere) {
  Pixels p{256, 1, 3, {}};
  for (int i = 0; i < 256; ++i) p.data.insert(p.data.end(), 3, static_cast<uint8_t>(i));
  const Tensor t = *ToUnitRange(p);
  EXPECT_EQ(t.view().As<float>()[0], -1.0f);
  EXPECT_EQ(t.view().As<float>()[255 * 3], 1.0f);
  EXPECT_EQ(ToPixels(t.view())->data, p.data);
}

TEST(PrepareImage, AlphaIsLaidOverWhite) {
  const Pixels p{3, 1, 4, {10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128}};
  const Pixels rgb = *FitPicture(p, {3, 1}, ReferenceFit::kPreferred);
  EXPECT_EQ(rgb.data, (std::vector<uint8_t>{10, 20, 30, 255, 255, 255, 127, 127, 127}));
}

// ComfyUI keeps the middle: of 4x1 black white white black only the white is left at aspect 2.
TEST(PrepareImage, CropKeepsTheMiddle) {
  Pixels p{4, 1, 3, std::vector<uint8_t>(12, 0)};
  for (size_t i = 3; i < 9; ++i) p.data[i] = 255;
  EXPECT_EQ(FitPicture(p, {2, 1}, ReferenceFit::kPreferredCrop)->data,
            std::vector<uint8_t>(6, 255));
  EXPECT_NE(FitPicture(p, {2, 1}, ReferenceFit::kPreferred)->data, std::vector<uint8_t>(6, 255));
}

TEST(PrepareImage, AlphaComesBackAtTheOutputsSize) {
  const Pixels rgba{1, 1, 4, {1, 2, 3, 77}};
  const Pixels out = *WithAlphaOf(rgba, {2, 1, 3, {9, 8, 7, 6, 5, 4}});
  EXPECT_EQ(out.channels, 4);
  EXPECT_EQ(out.data, (std::vector<uint8_t>{9, 8, 7, 77, 6, 5, 4, 77}));
}

}  // namespace
}  // namespace kontext
