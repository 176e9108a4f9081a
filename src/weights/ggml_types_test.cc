// Every type with blocks against blocks that libggml has decoded (tests/data/vectors). With
// KX_NUDGE=ggml in the environment one bit of each block is another, and Golden has to fail.
#include "weights/ggml_types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "io/json.h"

namespace kontext {
namespace {

struct GoldenBlock {
  const GgmlType* type = nullptr;
  std::vector<std::byte> bytes;
  std::vector<float> values;
};

const GgmlType* TypeNamed(const std::string& name) {
  for (uint32_t id = 0; id < 64; ++id) {
    const GgmlType* type = FindGgmlType(id);
    if (type != nullptr && name == type->name) return type;
  }
  return nullptr;
}

std::vector<GoldenBlock> GoldenBlocks() {
  std::vector<GoldenBlock> blocks;
  const auto json = ReadJsonFile(KX_SOURCE_DIR "/tests/data/vectors/vectors_quant.json");
  EXPECT_TRUE(json.ok()) << json.message();
  for (const auto& [name, entry] : json->items()) {
    GoldenBlock block;
    block.type = TypeNamed(name);
    const std::string hex = entry.at("bytes_hex");
    for (size_t i = 0; i < hex.size(); i += 2) {
      block.bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
    block.values = entry.at("values").get<std::vector<float>>();
    blocks.push_back(std::move(block));
  }
  return blocks;
}

// `count` blocks after each other, each with the first byte of its codes turned by its number, so
// that no two are equal.
std::vector<std::byte> Blocks(const GoldenBlock& golden, int64_t count) {
  std::vector<std::byte> bytes;
  for (int64_t i = 0; i < count; ++i) {
    bytes.insert(bytes.end(), golden.bytes.begin(), golden.bytes.end());
    bytes[bytes.size() - golden.bytes.size() / 2] ^= static_cast<std::byte>(i);
  }
  return bytes;
}

std::vector<float> DecodeRow(const EncodedMatrix& m, int64_t row, int64_t begin, int64_t end) {
  std::vector<float> values(static_cast<size_t>(end - begin), NAN);
  m.Decode(row, begin, end, values.data());
  return values;
}

TEST(GgmlTypes, Golden) {
  const std::vector<GoldenBlock> blocks = GoldenBlocks();
  EXPECT_EQ(blocks.size(), 14u);
  const char* nudge = std::getenv("KX_NUDGE");
  for (GoldenBlock block : blocks) {
    ASSERT_NE(block.type, nullptr);
    SCOPED_TRACE(block.type->name);
    ASSERT_EQ(static_cast<int64_t>(block.bytes.size()), block.type->block_bytes);
    ASSERT_EQ(static_cast<int64_t>(block.values.size()), block.type->block_elements);
    if (nudge != nullptr && std::string_view(nudge) == "ggml") {
      block.bytes[block.bytes.size() / 2] ^= std::byte{1};
    }
    const int64_t n = block.type->block_elements;
    const auto matrix = MakeGgmlMatrix(*block.type, block.bytes, 1, n);
    ASSERT_NE(matrix, nullptr);
    EXPECT_EQ(matrix->encoding(), block.type->name);
    const std::vector<float> got = DecodeRow(*matrix, 0, 0, n);
    // A value is scale * code - offset: three roundings, each of at most 2^-24 of a term, and no
    // term is beyond twice the block's largest value; and the file has 8 digits of a value.
    float largest = 0;
    for (const float v : block.values) largest = std::max(largest, std::abs(v));
    const float bound = largest * (6 * 0x1p-24f + 5e-8f);
    float worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      worst = std::max(worst, std::abs(got[i] - block.values[i]));
    }
    std::printf("%-6s worst %.3g, bound %.3g\n", block.type->name, static_cast<double>(worst),
                static_cast<double>(bound));
    EXPECT_LE(worst, bound);
  }
}

TEST(GgmlTypes, RowsAndColumnRangesAreTheSameNumbers) {
  constexpr int64_t kRows = 3;
  for (const GoldenBlock& golden : GoldenBlocks()) {
    SCOPED_TRACE(golden.type->name);
    const int64_t n = golden.type->block_elements;
    // Two granules and a rest, which of the small types is part of a granule.
    const int64_t columns = 512 + n;
    const std::vector<std::byte> bytes = Blocks(golden, kRows * columns / n);
    const auto matrix = MakeGgmlMatrix(*golden.type, bytes, kRows, columns);
    const auto flat =
        DecodeRow(*MakeGgmlMatrix(*golden.type, bytes, 1, kRows * columns), 0, 0, kRows * columns);
    for (int64_t row = 0; row < kRows; ++row) {
      for (const int64_t begin : {0, 256, 512}) {
        for (const int64_t end : {int64_t{256}, int64_t{512}, columns}) {
          if (begin >= end) continue;
          const auto at = flat.begin() + row * columns;
          EXPECT_EQ(DecodeRow(*matrix, row, begin, end), std::vector<float>(at + begin, at + end))
              << row << " " << begin << " " << end;
        }
      }
    }
  }
}

TEST(GgmlTypes, BlocksNumberByNumberAreThoseOfOneBlock) {
  for (const GoldenBlock& golden : GoldenBlocks()) {
    SCOPED_TRACE(golden.type->name);
    const int64_t n = golden.type->block_elements;
    const std::vector<std::byte> bytes = Blocks(golden, 5);
    const auto all = DecodeRow(*MakeGgmlMatrix(*golden.type, bytes, 1, 5 * n), 0, 0, 5 * n);
    for (int64_t i = 0; i < 5; ++i) {
      const ByteSpan one = ByteSpan(bytes).subspan(static_cast<size_t>(i) * golden.bytes.size(),
                                                   golden.bytes.size());
      EXPECT_EQ(DecodeRow(*MakeGgmlMatrix(*golden.type, one, 1, n), 0, 0, n),
                std::vector<float>(all.begin() + i * n, all.begin() + (i + 1) * n));
    }
  }
}

// As ComfyUI-GGUF stores convolutions: rows of 256 in the file, others in truth.
TEST(GgmlTypes, RowsThatBeginInsideABlock) {
  for (const GoldenBlock& golden : GoldenBlocks()) {
    SCOPED_TRACE(golden.type->name);
    const int64_t n = golden.type->block_elements, columns = 9, rows = n;
    const std::vector<std::byte> bytes = Blocks(golden, columns);
    const auto flat =
        DecodeRow(*MakeGgmlMatrix(*golden.type, bytes, 1, rows * columns), 0, 0, rows * columns);
    const auto matrix = MakeGgmlMatrix(*golden.type, bytes, rows, columns);
    for (int64_t row = 0; row < rows; ++row) {
      const auto at = flat.begin() + row * columns;
      EXPECT_EQ(DecodeRow(*matrix, row, 0, columns), std::vector<float>(at, at + columns)) << row;
    }
    std::vector<ByteSpan> spans;
    matrix->Touches(rows - 1, rows, spans);
    ASSERT_EQ(spans.size(), 1u);  // columns are fewer than a block: the last one has them all
    EXPECT_EQ(spans[0].data(), bytes.data() + (columns - 1) * golden.type->block_bytes);
    EXPECT_EQ(static_cast<int64_t>(spans[0].size()), golden.type->block_bytes);
  }
}

TEST(GgmlTypes, TouchesWholeRows) {
  const GgmlType& q4_k = *FindGgmlType(12);
  const std::vector<std::byte> bytes(6 * 144);
  const auto matrix = MakeGgmlMatrix(q4_k, bytes, 3, 512);
  std::vector<ByteSpan> spans;
  matrix->Touches(1, 3, spans);
  matrix->Touches(2, 2, spans);
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].data(), bytes.data() + 2 * 144);
  EXPECT_EQ(spans[0].size(), 4u * 144);
}

// libggml's own words on the scales at the ends (ggml-impl.h): 2^-127 and 2^-126 are subnormal,
// and 2^128 is beyond float while half of it is not.
TEST(GgmlTypes, ScalesOfFloatsAtTheirEnds) {
  const auto decode = [](uint32_t id, std::vector<uint8_t> bytes, int64_t n) {
    const auto matrix = MakeGgmlMatrix(*FindGgmlType(id), std::as_bytes(std::span(bytes)), 1, n);
    return DecodeRow(*matrix, 0, 0, n);
  };
  for (const int e : {0, 1, 2, 127, 254, 255}) {
    std::vector<uint8_t> mxfp4(17, 0x91);  // 0.5 and -0.5
    mxfp4[0] = static_cast<uint8_t>(e);
    const std::vector<float> values = decode(39, mxfp4, 32);
    EXPECT_EQ(values[0], std::ldexp(1.0f, e - 128)) << e;
    EXPECT_EQ(values[16], -std::ldexp(1.0f, e - 128)) << e;
  }
  std::vector<uint8_t> nvfp4(36, 0x91);
  const std::pair<int, float> scales[] = {{0, 0}, {1, 0x1p-9f}, {0x38, 1}, {0x7E, 448}, {0x7F, 0}};
  for (const auto& [code, scale] : scales) {
    nvfp4[0] = static_cast<uint8_t>(code);
    const std::vector<float> values = decode(40, nvfp4, 64);
    EXPECT_EQ(values[0], 0.5f * scale) << code;
    EXPECT_EQ(values[8], -0.5f * scale) << code;
  }
}

TEST(GgmlTypes, PlainTypesAreNoMatrices) {
  for (uint32_t id = 0; id < 64; ++id) {
    const GgmlType* type = FindGgmlType(id);
    if (type == nullptr) continue;
    const bool plain = PlainGgmlType(*type).has_value();
    const bool made = MakeGgmlMatrix(*type, {}, 0, 0) != nullptr;
    EXPECT_EQ(plain, type->block_elements == 1) << type->name;
    EXPECT_EQ(made, type->block_elements > 1) << type->name;
    if (!plain) continue;
    EXPECT_EQ(SizeOf(*PlainGgmlType(*type)), type->block_bytes) << type->name;
  }
}

}  // namespace
}  // namespace kontext
