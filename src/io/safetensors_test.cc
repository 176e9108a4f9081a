#include "io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "io/json.h"
#include "io/mapped_file.h"
#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using namespace std::string_literals;

// The bytes of a file, on an 8-byte boundary as mapped memory is.
class Bytes {
 public:
  explicit Bytes(const std::string& text) : words_(text.size() / 8 + 1), size_(text.size()) {
    std::memcpy(words_.data(), text.data(), text.size());
  }
  std::span<const std::byte> span() const {
    return {reinterpret_cast<const std::byte*>(words_.data()), size_};
  }

 private:
  std::vector<uint64_t> words_;
  size_t size_;
};

std::string File(const std::string& header, const std::string& data) {
  std::string file;
  for (int i = 0; i < 8; ++i) file.push_back(static_cast<char>((header.size() >> (8 * i)) & 0xFF));
  return file + header + data;
}

Result<Safetensors> Parse(const std::string& header, const std::string& data) {
  static Bytes bytes("");  // outlives the views of the last call
  bytes = Bytes(File(header, data));
  return ParseSafetensors(bytes.span(), "a.safetensors");
}

TEST(Safetensors, ReadsTensorsAndMetadata) {
  const auto parsed = Parse(
      R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
      R"("none":{"dtype":"I64","shape":[0,3],"data_offsets":[8,8]},)"
      R"("scalar":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}}   )",
      std::string("\0\0\x80\x3f\0\0\0\x40\x01", 9));
  ASSERT_TRUE(parsed.ok()) << parsed.message();
  EXPECT_EQ(parsed->metadata.at("format"), "pt");
  ASSERT_EQ(parsed->tensors.size(), 3u);
  const ConstTensorView w = parsed->tensors.at("w");
  EXPECT_EQ(w.shape(), Shape({1, 2}));
  EXPECT_EQ(w.As<float>()[0], 1.0f);
  EXPECT_EQ(w.As<float>()[1], 2.0f);
  EXPECT_FALSE(parsed->tensors.at("none").empty());
  EXPECT_EQ(parsed->tensors.at("none").shape().NumElements(), 0);
  EXPECT_EQ(parsed->tensors.at("scalar").rank(), 0);
}

TEST(Safetensors, CopiesWhatIsMisaligned) {
  const auto parsed = Parse(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                            R"("w":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})",
                            std::string("\x07\0\0\x80\x3f\0\0\0\x40", 9));
  ASSERT_TRUE(parsed.ok()) << parsed.message();
  const ConstTensorView w = parsed->tensors.at("w");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(w.data()) % 4, 0u);
  EXPECT_EQ(w.As<float>()[0], 1.0f);
  EXPECT_EQ(w.As<float>()[1], 2.0f);
  EXPECT_EQ(parsed->realigned.size(), 1u);
}

TEST(Safetensors, KnowsEveryDType) {
  for (const DType t :
       {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32, DType::kI16,
        DType::kI8, DType::kU8, DType::kBool, DType::kF8E4M3, DType::kF8E5M2}) {
    const auto parsed =
        Parse(fmt::format(R"({{"w":{{"dtype":"{}","shape":[3],"data_offsets":[0,{}]}}}})", Name(t),
                          3 * SizeOf(t)),
              std::string(24, 'x'));
    ASSERT_TRUE(parsed.ok()) << parsed.message();
    EXPECT_EQ(parsed->tensors.at("w").dtype(), t);
  }
}

TEST(Safetensors, RefusesEveryLie) {
  const auto tensor = [](const char* dtype, const char* shape, const char* offsets) {
    return fmt::format(R"({{"w":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape,
                       offsets);
  };
  const char* kF32 = "\"F32\"";
  const struct {
    std::string header;
    const char* reason;
  } cases[] = {
      {"[]", "no JSON object"},
      {"{", "no JSON"},
      {R"({"w":3})", "no JSON object"},
      {R"({"w":{}})", "no \"dtype\""},
      {tensor("4", "[1]", "[0,4]"), "no \"dtype\""},
      {tensor("\"F4\"", "[1]", "[0,4]"), "\"F4\""},
      {tensor(kF32, "3", "[0,4]"), "no \"shape\""},
      {tensor(kF32, "[-1]", "[0,4]"), "no \"shape\""},
      {tensor(kF32, "[1.5]", "[0,4]"), "no \"shape\""},
      {tensor(kF32, "[18446744073709551615]", "[0,4]"), "no \"shape\""},
      {tensor(kF32, "[1,1,1,1,1,1,1]", "[0,4]"), "7 dimensions"},
      {tensor(kF32, "[4294967296,4294967296]", "[0,0]"), "exceeds 2^63"},
      {tensor(kF32, "[0,4294967296,4294967296]", "[0,0]"), "exceeds 2^63"},
      {tensor(kF32, "[4611686018427387904]", "[0,0]"), "exceeds 2^63"},
      {tensor(kF32, "[2]", "[0]"), "no \"data_offsets\""},
      {tensor(kF32, "[2]", "[0,-8]"), "no \"data_offsets\""},
      {tensor(kF32, "[2]", "[0,4]"), "8 bytes, but has the offsets [0,4]"},
      {tensor(kF32, "[2]", "[8,0]"), "offsets [8,0]"},
      {tensor(kF32, "[2]", "[9,17]"), "16 bytes of data"},
      {tensor(kF32, "[2]", "[9223372036854775799,9223372036854775807]"), "16 bytes of data"},
      {R"({"__metadata__":{"a":1}})", "\"a\" is no text"},
      {R"({"__metadata__":[]})", "__metadata__"},
      {"{\"\xFF\":{}}", "no JSON"},
      {R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},)"
       R"("b":{"dtype":"U8","shape":[5],"data_offsets":[4,9]}})",
       "\"a\" at [0,5] and \"b\" at [4,9] overlap"},
      {R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},)"
       R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
       R"("c":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
       "overlap"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       "\"a\" stands twice"},
  };
  for (const auto& c : cases) {
    const auto parsed = Parse(c.header, std::string(16, 'x'));
    ASSERT_FALSE(parsed.ok()) << c.header;
    EXPECT_EQ(parsed.code(), Code::kBadInput);
    EXPECT_THAT(parsed.message(), HasSubstr(c.reason)) << c.header;
    EXPECT_THAT(parsed.message(), HasSubstr("a.safetensors"));
  }
}

TEST(Safetensors, RefusesLyingHeaderLengths) {
  const std::string file = File("{}", "");
  EXPECT_TRUE(ParseSafetensors(Bytes(file).span(), "x").ok());
  for (size_t n = 0; n < file.size(); ++n) {
    EXPECT_FALSE(ParseSafetensors(Bytes(file.substr(0, n)).span(), "x").ok()) << n;
  }
  const auto with_length = [](uint64_t n) {
    std::string text(8, '\0');
    std::memcpy(text.data(), &n, 8);
    return ParseSafetensors(Bytes(text + "{}").span(), "x").message();
  };
  EXPECT_THAT(with_length(3), HasSubstr("claims 3 bytes"));
  EXPECT_THAT(with_length(100'000'000), HasSubstr("but the file has 10"));
  EXPECT_THAT(with_length(100'000'001), HasSubstr("the limit is 100000000"));
  EXPECT_THAT(with_length(UINT64_MAX), HasSubstr("the limit is 100000000"));
  EXPECT_THAT(with_length(UINT64_MAX - 7), HasSubstr("the limit is 100000000"));
}

TEST(Safetensors, RefusesEveryPrefixOfAFile) {
  const std::string whole = File(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                 R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                                 "abcd\0\0\x80\x3f\0\0\0\x40"s);
  EXPECT_TRUE(ParseSafetensors(Bytes(whole).span(), "x").ok());
  for (size_t n = 0; n < whole.size(); ++n) {
    const auto cut = ParseSafetensors(Bytes(whole.substr(0, n)).span(), "cut.safetensors");
    EXPECT_EQ(cut.code(), Code::kBadInput) << n;
    EXPECT_THAT(cut.message(), HasSubstr("cut.safetensors")) << n;
  }
}

// The numbers of a tensor have no mark of their order, the header's length does.
TEST(Safetensors, RefusesTheOtherByteOrder) {
  std::string file = File("{}      ", "");
  std::reverse(file.begin(), file.begin() + 8);
  const auto parsed = ParseSafetensors(Bytes(file).span(), "big.safetensors");
  EXPECT_EQ(parsed.code(), Code::kBadInput);
  EXPECT_THAT(parsed.message(), AllOf(HasSubstr("big.safetensors"), HasSubstr("big-endian?")));
}

TEST(WriteSafetensors, IsReadBackAligned) {
  const ScratchFolder folder;
  const std::string path = folder.path() + "/a.safetensors";
  const uint8_t odd[3] = {1, 2, 3};
  const float wide[2] = {1.5f, -2.0f};
  const BF16 half[1] = {ToBF16(0.5f)};
  const std::map<std::string, ConstTensorView> tensors = {
      {"a.odd", ViewOf(odd, {3})}, {"b.half", ViewOf(half, {1, 1})}, {"c.wide", ViewOf(wide, {2})}};
  const Status written = WriteSafetensors(path, tensors, {{"made by", "a \"test\""}});
  ASSERT_TRUE(written.ok()) << written.message();

  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok());
  const auto parsed = ParseSafetensors({file->data(), static_cast<size_t>(file->size())}, path);
  ASSERT_TRUE(parsed.ok()) << parsed.message();
  EXPECT_TRUE(parsed->realigned.empty());
  EXPECT_EQ(parsed->metadata.at("made by"), "a \"test\"");
  ASSERT_EQ(parsed->tensors.size(), 3u);
  for (const auto& [name, view] : tensors) {
    const ConstTensorView read = parsed->tensors.at(name);
    EXPECT_EQ(read.dtype(), view.dtype());
    EXPECT_EQ(read.shape(), view.shape());
    const auto bytes = static_cast<size_t>(view.shape().NumElements() * SizeOf(view.dtype()));
    EXPECT_EQ(std::memcmp(read.data(), view.data(), bytes), 0) << name;
  }
  EXPECT_EQ(WriteSafetensors(path, {{"w", ViewOf(wide, {2}).Slice(0, 0, 2)},
                                    {"__metadata__", ViewOf(wide, {2})}})
                .code(),
            Code::kInternal);
}

}  // namespace
}  // namespace kontext
