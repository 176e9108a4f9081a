#include "weights/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gguf_bytes.h"
#include "scratch_folder.h"

namespace kontext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint32_t kF32 = 0, kF16 = 1, kQ8_0 = 8, kBF16 = 30;

// A block of Q8_0 whose elements are first, first + 1, ... times 0.5.
std::string Q8Block(int first) {
  std::string block = GgufBytes::Raw(uint16_t{0x3800});
  for (int i = 0; i < 32; ++i) block.push_back(static_cast<char>(first + i));
  return block;
}

std::vector<float> All(const WeightRows& weight) {
  std::vector<float> values(static_cast<size_t>(weight.shape().NumElements()));
  weight.DecodeAll(values.data());
  return values;
}

Result<std::unique_ptr<WeightFile>> Open(const GgufBytes& bytes) {
  const ScratchFolder folder;
  folder.Write("a.gguf", bytes.Str());
  return WeightFile::Open(folder.path() + "/a.gguf");
}

TEST(GgufFile, HoldsPlainNumbersAndBlocks) {
  GgufBytes f;
  f.String("general.architecture", "flux");
  f.Tensor("matrix", {64, 2}, kQ8_0, Q8Block(0) + Q8Block(32) + Q8Block(-64) + Q8Block(-32));
  f.Tensor("bf16", {1, 2}, kBF16,
           GgufBytes::Raw(uint16_t{0x3F80}) + GgufBytes::Raw(uint16_t{0x4000}));
  f.Tensor("f16", {2}, kF16, GgufBytes::Raw(uint16_t{0x3C00}) + GgufBytes::Raw(uint16_t{0xC000}));
  f.Tensor("vector", {32}, kQ8_0, Q8Block(1));
  const auto file = Open(f);
  ASSERT_TRUE(file.ok()) << file.message();
  EXPECT_EQ((*file)->metadata().at("general.architecture"), "flux");
  EXPECT_EQ((*file)->files().size(), 1u);
  const WeightMap& t = (*file)->tensors();

  const WeightRows& matrix = t.at("matrix");
  EXPECT_EQ(matrix.shape(), Shape({2, 64}));
  EXPECT_EQ(matrix.encoding(), "Q8_0");
  EXPECT_EQ(All(matrix)[63], 31.5f);
  EXPECT_EQ(All(matrix.Rows(1, 2))[0], -32.0f);

  EXPECT_EQ(t.at("bf16").shape(), Shape({2, 1}));
  EXPECT_EQ(t.at("bf16").encoding(), "BF16");
  EXPECT_THAT(All(t.at("bf16")), ElementsAre(1, 2));
  EXPECT_THAT(All(t.at("f16")), ElementsAre(1, -2));

  EXPECT_EQ(t.at("vector").encoding(), "F32");  // rows are cut from encoded matrices only
  EXPECT_EQ(t.at("vector").shape(), Shape({32}));
  EXPECT_THAT(All(t.at("vector").Rows(1, 3)), ElementsAre(1, 1.5f));
}

TEST(GgufFile, CopiesWhatIsMisaligned) {
  GgufBytes f;
  f.alignment = 1;
  f.U32("general.alignment", 1);
  f.Tensor("byte", {1}, 24, "x");
  for (const char* name : {"a", "b", "c"}) {
    f.Tensor(name, {1}, kF32, GgufBytes::Raw(1.5f)).Tensor(std::string("x") + name, {1}, 24, "x");
  }
  const auto file = Open(f);
  ASSERT_TRUE(file.ok()) << file.message();
  for (const char* name : {"a", "b", "c"}) {
    const ConstTensorView& view = (*file)->tensors().at(name).dense();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view.data()) % 4, 0u);
    EXPECT_EQ(view.As<float>()[0], 1.5f);
  }
}

TEST(GgufFile, GivesTensorsTheShapeTheyHadBeforeConversion) {
  GgufBytes f;
  f.I32List("comfy.gguf.orig_shape.blocks", {16, 2, 1, 1});
  f.I32List("comfy.gguf.orig_shape.plain", {2, 1});
  f.Tensor("blocks", {32}, kQ8_0, Q8Block(0));
  f.Tensor("plain", {2}, kF32, GgufBytes::Raw(1.0f) + GgufBytes::Raw(2.0f));
  const auto file = Open(f);
  ASSERT_TRUE(file.ok()) << file.message();
  const WeightRows& blocks = (*file)->tensors().at("blocks");
  EXPECT_EQ(blocks.shape(), Shape({16, 2, 1, 1}));
  EXPECT_THAT(All(blocks.Rows(15, 16)), ElementsAre(15, 15.5f));
  EXPECT_EQ((*file)->tensors().at("plain").shape(), Shape({2, 1}));
}

TEST(GgufFile, RefusesShapesThatDoNotFit) {
  for (const std::vector<int32_t>& shape :
       {std::vector<int32_t>{}, {3}, {0, 2}, {-1, -2}, {1 << 30, 1 << 30, 1 << 30}}) {
    GgufBytes f;
    f.I32List("comfy.gguf.orig_shape.w", shape);
    f.Tensor("w", {2}, kF32, std::string(8, '\0'));
    EXPECT_THAT(Open(f).message(),
                HasSubstr("tensor \"w\" is [2], but comfy.gguf.orig_shape says"));
  }
}

TEST(GgufFile, RefusesLongVectorsInBlocks) {
  GgufBytes f;
  f.Tensor("w", {(1 << 20) + 32}, kQ8_0, std::string(34 * ((1 << 15) + 1), '\0'));
  EXPECT_THAT(Open(f).message(), HasSubstr("vector of 1048608 elements in Q8_0"));
}

TEST(GgufFile, RefusesPartsOfSplitFiles) {
  GgufBytes part, whole;
  part.Value("split.count", 2, GgufBytes::Raw(uint16_t{3}));
  EXPECT_THAT(Open(part).message(), HasSubstr("one of \"3\" parts"));
  whole.Value("split.count", 2, GgufBytes::Raw(uint16_t{1}));
  EXPECT_TRUE(Open(whole).ok());
}

}  // namespace
}  // namespace kontext
