#include "io/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "gguf_bytes.h"

namespace kontext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kF32 = 0, kQ4_0 = 2, kQ4_K = 12;

// One key-value of every type and three tensors.
GgufBytes Whole() {
  GgufBytes f;
  f.String("general.architecture", "flux").U32("general.alignment", 32);
  f.Value("u8", 0, GgufBytes::Raw(uint8_t{200})).Value("i8", 1, GgufBytes::Raw(int8_t{-7}));
  f.Value("u16", 2, GgufBytes::Raw(uint16_t{60000})).Value("i16", 3, GgufBytes::Raw(int16_t{-9}));
  f.Value("i32", 5, GgufBytes::Raw(int32_t{-70000})).Value("f32", 6, GgufBytes::Raw(0.5f));
  f.Value("bool", 7, GgufBytes::Raw(uint8_t{1}));
  f.Value("u64", 10, GgufBytes::Raw(~uint64_t{0})).Value("i64", 11, GgufBytes::Raw(int64_t{-1}));
  f.Value("f64", 12, GgufBytes::Raw(1e100));
  f.I32List("comfy.gguf.orig_shape.w", {2, 4, 4});
  f.I32List("tokenizer.ggml.token_type", {1, 1, 1, 1, 1, 1, 1});
  f.Value("words", 9,
          GgufBytes::Raw(uint32_t{8}) + GgufBytes::Raw(uint64_t{2}) + GgufBytes::Text("a") +
              GgufBytes::Text("bc"));
  f.Tensor("w", {32, 1}, kQ4_0, std::string(18, '\x11'));
  f.Tensor("b", {3}, kF32, GgufBytes::Raw(1.0f) + GgufBytes::Raw(2.0f) + GgufBytes::Raw(3.0f));
  f.Tensor("scalar", {}, kF32, GgufBytes::Raw(4.0f));
  return f;
}

// The message of the refusal, or a failure.
std::string Refusal(const std::string& bytes) {
  const FileBytes file(bytes);
  const auto gguf = ParseGguf(file.span(), "a.gguf");
  EXPECT_FALSE(gguf.ok());
  if (gguf.ok()) return "";
  EXPECT_EQ(gguf.code(), Code::kBadInput);
  EXPECT_THAT(gguf.message(), testing::StartsWith("a.gguf: "));
  return gguf.message();
}

TEST(Gguf, ReadsTensorsAndKeyValues) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBytes written = Whole();
    written.version = version;
    const FileBytes file(written.Str());
    const auto gguf = ParseGguf(file.span(), "a.gguf");
    ASSERT_TRUE(gguf.ok()) << gguf.message();
    ASSERT_EQ(gguf->tensors.size(), 3u);
    const GgufTensor& w = gguf->tensors.at("w");
    EXPECT_EQ(w.shape, Shape({1, 32}));
    EXPECT_STREQ(w.type->name, "Q4_0");
    EXPECT_EQ(w.data.size(), 18u);
    EXPECT_EQ(gguf->tensors.at("b").data[3], std::byte{0x3F});
    EXPECT_EQ(gguf->tensors.at("scalar").shape.rank(), 0);
    const std::map<std::string, std::string> expected = {{"general.architecture", "flux"},
                                                         {"general.alignment", "32"},
                                                         {"u8", "200"},
                                                         {"i8", "-7"},
                                                         {"u16", "60000"},
                                                         {"i16", "-9"},
                                                         {"i32", "-70000"},
                                                         {"f32", "0.5"},
                                                         {"bool", "true"},
                                                         {"u64", "18446744073709551615"},
                                                         {"i64", "-1"},
                                                         {"f64", "1e+100"}};
    EXPECT_EQ(gguf->metadata, expected);
    ASSERT_EQ(gguf->lists.size(), 1u);  // the other ones are longer than a shape, or text
    EXPECT_THAT(gguf->lists.at("comfy.gguf.orig_shape.w"), ElementsAre(2, 4, 4));
  }
}

TEST(Gguf, RefusesEveryPrefixOfAFile) {
  const std::string whole = Whole().Str();
  for (size_t n = 0; n < whole.size(); ++n) {
    SCOPED_TRACE(n);
    EXPECT_FALSE(Refusal(whole.substr(0, n)).empty());
  }
}

TEST(Gguf, TakesAnyAlignmentThatIsAPowerOfTwo) {
  for (const uint32_t alignment : {1u, 8u, 256u}) {
    GgufBytes f;
    f.alignment = alignment;
    f.U32("general.alignment", alignment);
    f.Tensor("a", {3}, 24, "xyz").Tensor("b", {1}, kF32, GgufBytes::Raw(1.0f));
    const FileBytes file(f.Str());
    const auto gguf = ParseGguf(file.span(), "a.gguf");
    ASSERT_TRUE(gguf.ok()) << gguf.message();
    EXPECT_EQ(gguf->tensors.at("a").data[2], std::byte{'z'});
    EXPECT_EQ(gguf->tensors.at("b").data[3], std::byte{0x3F});
  }
}

TEST(Gguf, KeepsTextThatIsNoUtf8Printable) {
  GgufBytes f;
  const FileBytes file(f.String("author", "\xFF!").Str());
  const auto gguf = ParseGguf(file.span(), "a.gguf");
  ASSERT_TRUE(gguf.ok()) << gguf.message();
  EXPECT_EQ(gguf->metadata.at("author"), "\"\\ufffd!\"");
}

TEST(Gguf, RefusesOtherMagicVersionsAndByteOrder) {
  const auto with = [](const std::function<void(GgufBytes&)>& change) {
    GgufBytes f = Whole();
    change(f);
    return Refusal(f.Str());
  };
  EXPECT_THAT(with([](GgufBytes& f) { f.magic = "GGML"; }), HasSubstr("is no GGUF file"));
  EXPECT_THAT(with([](GgufBytes& f) { f.version = 1; }), HasSubstr("version 1"));
  EXPECT_THAT(with([](GgufBytes& f) { f.version = 4; }), HasSubstr("version 4"));
  EXPECT_THAT(with([](GgufBytes& f) { f.version = 0; }), HasSubstr("version 0"));
  EXPECT_THAT(with([](GgufBytes& f) { f.version = 0x03000000; }), HasSubstr("big-endian"));
}

TEST(Gguf, RefusesCountsBeyondTheFile) {
  for (const int64_t n : {int64_t{-1}, int64_t{1} << 20, INT64_MAX, INT64_MIN}) {
    GgufBytes tensors = Whole(), values = Whole();
    tensors.tensor_count = n;
    values.value_count = n;
    EXPECT_THAT(Refusal(tensors.Str()), HasSubstr("number of tensors"));
    EXPECT_THAT(Refusal(values.Str()), HasSubstr("number of key-values"));
  }
  for (const uint64_t n : {uint64_t{1} << 20, uint64_t{1} << 62, ~uint64_t{0}}) {
    GgufBytes text, list, words;
    text.Value("t", 8, GgufBytes::Raw(n));
    list.Value("t", 9, GgufBytes::Raw(uint32_t{12}) + GgufBytes::Raw(n));
    words.Value("t", 9, GgufBytes::Raw(uint32_t{8}) + GgufBytes::Raw(n));
    for (const GgufBytes& f : {text, list, words}) {
      EXPECT_THAT(Refusal(f.Str()), HasSubstr("the value of \"t\""));
    }
  }
}

TEST(Gguf, RefusesWrongKeyValues) {
  GgufBytes twice, type, list, nested, binary;
  EXPECT_THAT(Refusal(twice.U32("a", 1).U32("a", 1).Str()), HasSubstr("\"a\" stands twice"));
  EXPECT_THAT(Refusal(type.Value("a", 13, "xxxx").Str()), HasSubstr("unknown type 13"));
  const std::string none = GgufBytes::Raw(uint64_t{0});
  EXPECT_THAT(Refusal(list.Value("a", 9, GgufBytes::Raw(uint32_t{99}) + none).Str()),
              HasSubstr("unknown type 99"));
  EXPECT_THAT(Refusal(nested.Value("a", 9, GgufBytes::Raw(uint32_t{9}) + none).Str()),
              HasSubstr("unknown type 9"));
  EXPECT_THAT(Refusal(binary.U32("\xC3", 1).Str()), HasSubstr("no UTF-8"));
  for (const uint32_t alignment : {0u, 3u, 48u}) {
    GgufBytes f;
    EXPECT_THAT(Refusal(f.U32("general.alignment", alignment).Str()), HasSubstr("power of two"));
  }
  GgufBytes text;
  EXPECT_THAT(Refusal(text.String("general.alignment", "32").Str()), HasSubstr("power of two"));
}

TEST(Gguf, RefusesWrongTensors) {
  const auto one = [](const std::vector<int64_t>& sizes, uint32_t type, size_t bytes,
                      std::optional<uint64_t> offset = std::nullopt) {
    GgufBytes f;
    return Refusal(f.Tensor("w", sizes, type, std::string(bytes, '\0'), offset).Str());
  };
  EXPECT_THAT(one({1, 1, 1, 1, 1}, kF32, 4), HasSubstr("5 dimensions"));
  EXPECT_THAT(one({2, 0}, kF32, 4), HasSubstr("a dimension of 0"));
  EXPECT_THAT(one({-2, 2}, kF32, 4), HasSubstr("a dimension of -2"));
  EXPECT_THAT(one({int64_t{1} << 40, int64_t{1} << 40}, kF32, 4), HasSubstr("2^56"));
  EXPECT_THAT(one({INT64_MAX}, kF32, 4), HasSubstr("2^56"));
  EXPECT_THAT(one({int64_t{1} << 56}, 28, 8), HasSubstr("is it cut off?"));
  EXPECT_THAT(one({256}, 16, 66), HasSubstr("IQ2_XXS, which is not read; read are F32 F16"));
  EXPECT_THAT(one({256}, 4, 66), HasSubstr("type 4,"));
  EXPECT_THAT(one({256}, 0xFFFFFFFF, 66), HasSubstr("type 4294967295"));
  EXPECT_THAT(one({128, 2}, kQ4_K, 144), HasSubstr("multiples of 256"));
  EXPECT_THAT(one({}, kQ4_0, 18), HasSubstr("multiples of 32"));
  EXPECT_THAT(one({1}, kF32, 4, 2), HasSubstr("no multiple of the alignment 32"));
  EXPECT_THAT(one({1}, kF32, 4, 64), HasSubstr("is it cut off?"));
  EXPECT_THAT(one({1}, kF32, 4, ~uint64_t{31}), HasSubstr("is it cut off?"));
  GgufBytes twice, overlap, binary;
  const std::string four(4, '\0'), many(64, '\0');
  EXPECT_THAT(Refusal(twice.Tensor("w", {1}, kF32, four).Tensor("w", {1}, kF32, four).Str()),
              HasSubstr("tensor \"w\" stands twice"));
  EXPECT_THAT(Refusal(overlap.Tensor("a", {16}, kF32, many).Tensor("b", {1}, kF32, four, 32).Str()),
              HasSubstr("tensor \"b\" at 32 overlaps \"a\""));
  EXPECT_THAT(Refusal(binary.Tensor("\x80", {1}, kF32, four).Str()), HasSubstr("no UTF-8"));
}

}  // namespace
}  // namespace kontext
