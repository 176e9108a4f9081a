#include "io/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string_view>
#include <utility>

#include "io/json.h"

namespace kontext {
namespace {

// CRC-32 as zlib has it.
uint32_t Crc32(const std::vector<uint8_t>& bytes) {
  uint32_t crc = 0xFFFFFFFFu;
  for (const uint8_t b : bytes) {
    crc ^= b;
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

Pixels Sized(int width, int height, int channels) {
  Pixels p;
  p.width = width;
  p.height = height;
  p.channels = channels;
  p.data.resize(static_cast<size_t>(width * height * channels));
  return p;
}

// The pictures of tools/golden/make_resize_vectors.py.
Pixels Noise(int width, int height, int channels, uint32_t seed) {
  Pixels p = Sized(width, height, channels);
  for (uint8_t& v : p.data) {
    seed = seed * 1664525u + 1013904223u;
    v = static_cast<uint8_t>(seed >> 24);
  }
  return p;
}

// Spec architecture 3.2: value (37 x + 91 y + 53 c) & 255.
Pixels SpecPicture() {
  Pixels p = Sized(7, 5, 3);
  for (int i = 0; i < 7 * 5 * 3; ++i) {
    p.data[static_cast<size_t>(i)] =
        static_cast<uint8_t>(i / 3 % 7 * 37 + i / 21 * 91 + i % 3 * 53);
  }
  return p;
}
std::vector<int> At(const Pixels& p, int x, int y) {
  const auto i = static_cast<size_t>(y * p.width + x) * 3;
  return {p.data[i], p.data[i + 1], p.data[i + 2]};
}
int Sum(const Pixels& p) { return std::accumulate(p.data.begin(), p.data.end(), 0); }

TEST(ResizeLanczos, SpecGoldens) {
  const auto up = ResizeLanczos(SpecPicture(), 10, 8);
  ASSERT_TRUE(up.ok()) << up.message();
  EXPECT_EQ(At(*up, 0, 0), (std::vector<int>{0, 45, 90}));
  EXPECT_EQ(At(*up, 9, 7), (std::vector<int>{56, 146, 196}));
  EXPECT_EQ(At(*up, 5, 4), (std::vector<int>{55, 133, 179}));
  EXPECT_EQ(Sum(*up), 30882);
  const auto down = ResizeLanczos(SpecPicture(), 4, 3);
  ASSERT_TRUE(down.ok()) << down.message();
  EXPECT_EQ(At(*down, 0, 0), (std::vector<int>{56, 108, 166}));
  EXPECT_EQ(At(*down, 3, 2), (std::vector<int>{131, 129, 116}));
  EXPECT_EQ(At(*down, 2, 1), (std::vector<int>{119, 151, 126}));
  EXPECT_EQ(Sum(*down), 4663);
}

// With KX_NUDGE=resize one expected checksum is changed and this test has to fail.
TEST(ResizeLanczos, EqualsPillowBitForBit) {
  auto file = ReadJsonFile(KX_SOURCE_DIR "/tests/data/pictures/resize_vectors.json");
  ASSERT_TRUE(file.ok()) << file.message();
  Json& cases = (*file)["cases"];
  ASSERT_GE(cases.size(), 100u);
  const char* nudge = std::getenv("KX_NUDGE");
  if (nudge != nullptr && std::string_view(nudge) == "resize") {
    cases[7]["crc32"] = cases[7]["crc32"].get<uint32_t>() ^ 1u;
  }
  int equal = 0;
  for (const Json& c : cases) {
    const Pixels src = Noise(c["width"], c["height"], c["channels"], c["seed"]);
    const auto out = ResizeLanczos(src, c["to_width"], c["to_height"]);
    ASSERT_TRUE(out.ok()) << out.message();
    const bool same = Crc32(out->data) == c["crc32"].get<uint32_t>();
    EXPECT_TRUE(same) << c.dump();
    equal += same ? 1 : 0;
  }
  std::printf("%d of %zu pictures equal Pillow %s\n", equal, cases.size(),
              (*file)["pillow"].get<std::string>().c_str());
}

TEST(ResizeLanczos, ExtremeSizesKeepMemoryAndSumsBounded) {
  // 65535 x 65535 x 3 bytes between the passes if they were done whole: 13 GB.
  const auto turned = ResizeLanczos(Noise(1, 65535, 3, 1), 65535, 1);
  ASSERT_TRUE(turned.ok()) << turned.message();
  EXPECT_EQ(turned->width, 65535);
  // One column stays one colour: every weight set sums to 1 within its rounding.
  EXPECT_EQ(At(*turned, 0, 0), At(*turned, 65534, 0));
  for (const int side : {1, 2, 3, 5, 6, 7, 11, 255, 65534, 65535}) {
    EXPECT_TRUE(ResizeLanczos(Noise(65535, 1, 3, 1), side, 1).ok());
    EXPECT_TRUE(ResizeLanczos(Noise(side, 1, 3, 1), 65535, 1).ok());
  }
}

TEST(Resize, RefusesImpossibleSizes) {
  const Pixels src = Noise(4, 3, 3, 1);
  for (const auto& [w, h] :
       {std::pair{0, 1}, {1, 0}, {-1, 5}, {65536, 1}, {1, 65536}, {65535, 65535}}) {
    EXPECT_EQ(ResizeLanczos(src, w, h).code(), Code::kUsage);
    EXPECT_EQ(ResizeNearest(src, w, h).code(), Code::kUsage);
  }
  Pixels lying = src;
  lying.width = 5;
  EXPECT_EQ(ResizeLanczos(lying, 2, 2).code(), Code::kInternal);
  EXPECT_EQ(ResizeNearest(Pixels{}, 2, 2).code(), Code::kInternal);
}

TEST(ResizeNearest, TakesTheMiddleOfEachPixel) {
  const auto up = ResizeNearest(SpecPicture(), 14, 10);
  ASSERT_TRUE(up.ok());
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 14; ++x) EXPECT_EQ(At(*up, x, y), At(SpecPicture(), x / 2, y / 2));
  }
  const auto down = ResizeNearest(SpecPicture(), 3, 2);
  ASSERT_TRUE(down.ok());
  // floor((x + 0.5) 7 / 3) = 1, 3, 5; floor((y + 0.5) 5 / 2) = 1, 3.
  EXPECT_EQ(At(*down, 0, 0), At(SpecPicture(), 1, 1));
  EXPECT_EQ(At(*down, 1, 1), At(SpecPicture(), 3, 3));
  EXPECT_EQ(At(*down, 2, 0), At(SpecPicture(), 5, 1));
}

TEST(Crop, CutsAWindowThatLiesInside) {
  const auto cut = Crop(SpecPicture(), 2, 1, 3, 4);
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut->width, 3);
  EXPECT_EQ(cut->height, 4);
  EXPECT_EQ(At(*cut, 0, 0), At(SpecPicture(), 2, 1));
  EXPECT_EQ(At(*cut, 2, 3), At(SpecPicture(), 4, 4));
  EXPECT_TRUE(Crop(SpecPicture(), 0, 0, 7, 5).ok());
  EXPECT_EQ(Crop(SpecPicture(), 5, 1, 3, 4).code(), Code::kUsage);
  EXPECT_EQ(Crop(SpecPicture(), -1, 0, 3, 4).code(), Code::kUsage);
  EXPECT_EQ(Crop(SpecPicture(), 2147483647, 0, 3, 4).code(), Code::kUsage);
}

}  // namespace
}  // namespace kontext
