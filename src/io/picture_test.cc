#include "io/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

#include "io/json.h"
#include "io/mapped_file.h"
#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

const std::string kFolder = KX_SOURCE_DIR "/tests/data/pictures/";

std::string Bytes(const std::string& name) {
  auto bytes = ReadTextFile(kFolder + name, 1 << 24);
  EXPECT_TRUE(bytes.ok()) << bytes.message();
  return bytes.ok() ? *bytes : "";
}

std::vector<uint8_t> FromHex(const std::string& hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// The largest difference of two samples; 256 if the pictures differ in size.
int MaxDifference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  if (a.size() != b.size()) return 256;
  int most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

Pixels Gradient(int width, int height, int channels) {
  Pixels p;
  p.width = width;
  p.height = height;
  p.channels = channels;
  for (int i = 0; i < width * height * channels; ++i) p.data.push_back(static_cast<uint8_t>(i * 7));
  return p;
}

TEST(DecodePicture, EveryKindOfFileBecomesTheExpectedPixels) {
  const auto expected = ReadJsonFile(kFolder + "expected.json");
  ASSERT_TRUE(expected.ok()) << expected.message();
  ASSERT_GE(expected->size(), 50u);
  for (const auto& [name, e] : expected->items()) {
    const auto decoded = ReadPicture(kFolder + name, e["keep_alpha"].get<bool>());
    ASSERT_TRUE(decoded.ok()) << decoded.message();
    EXPECT_EQ(decoded->pixels.width, e["width"]) << name;
    EXPECT_EQ(decoded->pixels.height, e["height"]) << name;
    EXPECT_EQ(decoded->pixels.channels, e["channels"]) << name;
    EXPECT_THAT(decoded->notes, ElementsAreArray(e["notes"].get<std::vector<std::string>>()))
        << name;
    const int most = MaxDifference(decoded->pixels.data, FromHex(e["pixels"]));
    EXPECT_LE(most, e["max_diff"].get<int>()) << name;
    if (e["max_diff"] != 0) {
      std::printf("%-24s differs by %d of %d allowed\n", name.c_str(), most,
                  e["max_diff"].get<int>());
    }
    EXPECT_EQ(decoded->recipe, "");
  }
}

TEST(DecodePicture, NoPrefixOfAFileIsAPicture) {
  for (const char* name : {"rgb8.png", "rgb8_interlaced.png", "icc_alpha.png", "exif6.jpg",
                           "progressive.jpg", "chroma420.jpg", "cmyk_adobe.jpg", "lossless.webp",
                           "lossy_alpha.webp", "icc.webp", "animated.webp"}) {
    const std::string whole = Bytes(name);
    for (size_t n = 0; n < whole.size(); ++n) {
      const auto decoded = DecodePicture(whole.substr(0, n), name, false);
      ASSERT_FALSE(decoded.ok()) << name << " cut to " << n << " of " << whole.size();
      ASSERT_EQ(decoded.code(), Code::kBadInput);
      ASSERT_THAT(decoded.message(), HasSubstr(name));
    }
  }
}

TEST(DecodePicture, DamagedBytesNeverDoHarm) {
  for (const char* name : {"rgba16.png", "exif6.jpg", "progressive.jpg", "icc_two_segments.jpg",
                           "lossy_alpha.webp", "icc.webp", "icc_grey.png"}) {
    const std::string whole = Bytes(name);
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
      const auto decoded = DecodePicture(damaged, name, true, {.max_pixels = 1 << 20});
      if (!decoded.ok()) {
        ASSERT_EQ(decoded.code(), Code::kBadInput) << decoded.message();
      }
    }
  }
}

TEST(DecodePicture, AbsurdSizesAreRefusedByTheirHeaders) {
  EXPECT_THAT(ReadPicture(kFolder + "hostile/png_2147483647.png", false).message(),
              HasSubstr("2147483647x2147483647 pixels, the limit is 65535 a side"));
  EXPECT_THAT(ReadPicture(kFolder + "hostile/jpeg_65500.jpg", false).message(),
              HasSubstr("65500x65500 = 4290250000 pixels, the limit is 268435456"));
  EXPECT_THAT(ReadPicture(kFolder + "hostile/jpeg_65535.jpg", false).message(), HasSubstr("65500"));
  EXPECT_THAT(ReadPicture(kFolder + "hostile/png_no_data.png", false).message(),
              HasSubstr("too few for 16000x16000"));
  EXPECT_THAT(ReadPicture(kFolder + "hostile/jpeg_scans.jpg", false).message(),
              HasSubstr("too many scans"));
}

TEST(DecodePicture, LimitsAreNamedAndHoldAtTheirEdge) {
  const std::string bomb = Bytes("hostile/png_bomb.png");  // 5000x5000 in 3 KB
  EXPECT_TRUE(DecodePicture(bomb, "bomb", false, {.max_pixels = 25'000'000}).ok());
  EXPECT_THAT(DecodePicture(bomb, "bomb", false, {.max_pixels = 24'999'999}).message(),
              HasSubstr("the limit is 24999999"));
  EXPECT_THAT(DecodePicture(bomb, "bomb", false, {.max_side = 4999}).message(),
              HasSubstr("the limit is 4999 a side"));
  EXPECT_THAT(DecodePicture(bomb, "bomb", false, {.max_file_bytes = 3000}).message(),
              HasSubstr("the limit is 3000"));
  for (const char* name : {"rgb8.png", "exif1.jpg", "lossless.webp"}) {
    EXPECT_TRUE(DecodePicture(Bytes(name), name, false, {.max_pixels = 117, .max_side = 13}).ok());
    EXPECT_FALSE(DecodePicture(Bytes(name), name, false, {.max_pixels = 116}).ok());
    EXPECT_FALSE(DecodePicture(Bytes(name), name, false, {.max_side = 12}).ok());
  }
}

TEST(DecodePicture, ATextBombIsNotUnpacked) {
  const auto decoded = ReadPicture(kFolder + "hostile/png_text_bomb.png", false);
  ASSERT_TRUE(decoded.ok()) << decoded.message();
  EXPECT_EQ(decoded->recipe, "");
}

TEST(DecodePicture, GoesByContentNotByName) {
  const ScratchFolder folder;
  folder.Write("jpeg.png", Bytes("exif1.jpg"));
  folder.Write("png.txt", Bytes("rgb8.png"));
  EXPECT_TRUE(ReadPicture(folder.path() + "/jpeg.png", false).ok());
  EXPECT_TRUE(ReadPicture(folder.path() + "/png.txt", false).ok());
}

TEST(DecodePicture, SaysWhatElseAFileIs) {
  using namespace std::string_literals;
  const std::pair<std::string, const char*> cases[] = {{"", "is empty"},
                                                       {"GIF89a", "a GIF"},
                                                       {"BM123", "a BMP"},
                                                       {"MM\0*"s, "a TIFF"},
                                                       {"II*\0"s, "a TIFF"},
                                                       {"\0\0\0\x20"
                                                        "ftypavif"s,
                                                        "an AVIF"},
                                                       {"%PDF-1.7", "a PDF"},
                                                       {"\0\0\0\x20"
                                                        "ftypheic...."s,
                                                        "a HEIC"},
                                                       {"<svg>", "an SVG"},
                                                       {"hello", "something else"},
                                                       {"RIFF....WAVE", "something else"}};
  for (const auto& [bytes, name] : cases) {
    const auto decoded = DecodePicture(bytes, "in.png", false);
    EXPECT_EQ(decoded.code(), Code::kBadInput);
    EXPECT_THAT(decoded.message(), HasSubstr(name));
    EXPECT_THAT(decoded.message(), HasSubstr("in.png"));
  }
  EXPECT_THAT(ReadPicture("/none.png", false).message(), HasSubstr("/none.png"));
}

TEST(EncodePicture, RecipesComeBackFromEveryFormat) {
  const std::string plain = R"({"prompt": "make the hat red", "seed": 7})";
  const std::string unicode = "{\"prompt\": \"caf\xC3\xA9 \xF0\x9F\x8E\xA9\"}";
  const std::string longest(65'300, 'x');
  for (const PictureFormat format :
       {PictureFormat::kPng, PictureFormat::kJpeg, PictureFormat::kWebp}) {
    for (const std::string& recipe : {std::string(), plain, unicode, longest}) {
      const auto file = EncodePicture(Gradient(13, 9, 3), format, recipe);
      ASSERT_TRUE(file.ok()) << file.message();
      EXPECT_THAT(*file, HasSubstr("kontext.cpp"));
      const auto decoded = DecodePicture(*file, "out", false);
      ASSERT_TRUE(decoded.ok()) << decoded.message();
      EXPECT_EQ(decoded->recipe, recipe);
      EXPECT_TRUE(decoded->notes.empty()) << decoded->notes[0];
    }
  }
}

// Each format's own place for XMP, as its specification has it; then IPTC's term.
TEST(EncodePicture, SaysThatAModelMadeIt) {
  using namespace std::string_literals;
  const std::map<PictureFormat, std::string> places = {
      {PictureFormat::kPng, "iTXtXML:com.adobe.xmp\0\0\0\0\0<?xpacket"s},
      {PictureFormat::kJpeg, "http://ns.adobe.com/xap/1.0/\0<?xpacket"s},
      {PictureFormat::kWebp, "XMP "s}};
  for (const auto& [format, place] : places) {
    for (const char* recipe : {"", "{}"}) {
      const auto file = EncodePicture(Gradient(13, 9, 3), format, recipe);
      ASSERT_TRUE(file.ok()) << file.message();
      const size_t at = file->find(place);
      ASSERT_NE(at, std::string::npos) << static_cast<int>(format);
      EXPECT_LT(at, file->find("newscodes/digitalsourcetype/trainedAlgorithmicMedia"));
      EXPECT_NE(file->find("newscodes/digitalsourcetype/trainedAlgorithmicMedia"),
                std::string::npos);
    }
  }
}

TEST(EncodePicture, PngAndWebpAreLosslessAndKeepAlpha) {
  for (const PictureFormat format : {PictureFormat::kPng, PictureFormat::kWebp}) {
    for (const int channels : {3, 4}) {
      const Pixels pixels = Gradient(31, 17, channels);
      const auto file = EncodePicture(pixels, format, "{}");
      ASSERT_TRUE(file.ok()) << file.message();
      const auto decoded = DecodePicture(*file, "out", true);
      ASSERT_TRUE(decoded.ok()) << decoded.message();
      EXPECT_EQ(decoded->pixels.channels, channels);
      EXPECT_EQ(decoded->pixels.data, pixels.data);
    }
  }
}

TEST(EncodePicture, JpegStaysClose) {
  // Four flat colours: chroma at full resolution keeps them apart at a one-pixel edge.
  Pixels pixels = Gradient(16, 16, 3);
  for (size_t i = 0; i < pixels.data.size(); ++i) {
    pixels.data[i] = static_cast<uint8_t>(i / 3 % 16 < 8 ? (i % 3 == 0 ? 200 : 40) : 90);
  }
  const auto file = EncodePicture(pixels, PictureFormat::kJpeg, "");
  ASSERT_TRUE(file.ok()) << file.message();
  const auto decoded = DecodePicture(*file, "out", false);
  ASSERT_TRUE(decoded.ok()) << decoded.message();
  // Blocks are flat, so only their DC is quantised: at quality 95 by 2 (luma and chroma), in units
  // of 1/8 level. Half a step is 1/8; with the roundings of YCbCr (1/2 each way, times 1.772 at
  // most for chroma) and of the result that is at most 0.125 + 0.5 + 1.772 * 0.625 + 0.5 < 3.
  const int most = MaxDifference(decoded->pixels.data, pixels.data);
  std::printf("JPEG differs by %d of 2 allowed\n", most);
  EXPECT_LE(most, 2);
}

TEST(EncodePicture, RefusesWhatAFormatCannotHold) {
  const Pixels rgb = Gradient(4, 4, 3);
  EXPECT_EQ(EncodePicture(Gradient(4, 4, 4), PictureFormat::kJpeg, "").code(), Code::kUsage);
  const std::string too_long(65'301, 'x');
  EXPECT_EQ(EncodePicture(rgb, PictureFormat::kJpeg, too_long).code(), Code::kUsage);
  EXPECT_EQ(EncodePicture(rgb, PictureFormat::kWebp, too_long).code(), Code::kUsage);
  EXPECT_TRUE(EncodePicture(rgb, PictureFormat::kPng, too_long).ok());
  EXPECT_EQ(EncodePicture(Gradient(16384, 1, 3), PictureFormat::kWebp, "").code(), Code::kUsage);
  EXPECT_EQ(EncodePicture(Gradient(65501, 1, 3), PictureFormat::kJpeg, "").code(), Code::kUsage);
  Pixels lying = rgb;
  lying.height = 5;
  EXPECT_EQ(EncodePicture(lying, PictureFormat::kPng, "").code(), Code::kInternal);
  EXPECT_EQ(EncodePicture(rgb, PictureFormat::kPng, std::string("a\0b", 3)).code(),
            Code::kInternal);
}

TEST(FormatOfPath, GoesByTheEnding) {
  EXPECT_EQ(*FormatOfPath("a.png"), PictureFormat::kPng);
  EXPECT_EQ(*FormatOfPath("/b.c/a.JPG"), PictureFormat::kJpeg);
  EXPECT_EQ(*FormatOfPath("a.jpeg"), PictureFormat::kJpeg);
  EXPECT_EQ(*FormatOfPath("a.png.WebP"), PictureFormat::kWebp);
  for (const char* path : {"a.gif", "a", "", "png", "a.png.tmp"}) {
    EXPECT_EQ(FormatOfPath(path).code(), Code::kUsage);
    EXPECT_THAT(FormatOfPath(path).message(), HasSubstr(".webp"));
  }
}

}  // namespace
}  // namespace kontext
