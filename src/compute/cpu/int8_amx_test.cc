// The order of activations and the loops that AMX runs, on a unit in plain loops: what it
// multiplies must be what every other path does. The instructions themselves are run by the
// conformance tests where the processor has them.
#include "compute/cpu/int8_amx.h"

#include <gtest/gtest.h>

#include <vector>

#include "compute/cpu/int8_rows.h"
#include "tensor/arena.h"

namespace kontext::cpu {
namespace {

// tileloadd, tdpbssd and tilestored of Intel's software developer's manual.
struct PlainUnit {
  static void Multiply(const Int8AmxTile& t, int64_t steps, bool add) {
    for (int64_t panel = 0; panel < 2; ++panel) {
      for (int64_t block = 0; block < 2; ++block) {
        for (int64_t i = 0; i < kInt8AmxRows * kInt8Features; ++i) {
          int32_t& sum = t.sums[panel][block][i];
          sum = (add ? sum : 0) + Dot(t.a[panel], t.b[block], i / kInt8Features, i % kInt8Features,
                                      steps * kInt8AmxDepth);
        }
      }
    }
  }
  static int32_t Dot(const int8_t* a, const int8_t* b, int64_t row, int64_t feature,
                     int64_t columns) {
    int32_t sum = 0;
    for (int64_t k = 0; k < columns; ++k) {
      const int64_t piece = k / kInt8AmxDepth * kInt8AmxRows + row;
      const int64_t quad = k / kInt8Depth * kInt8Features + feature;
      sum += a[piece * kInt8AmxDepth + k % kInt8AmxDepth] * b[quad * kInt8Depth + k % kInt8Depth];
    }
    return sum;
  }
};

// Panels and blocks whose last has no second.
constexpr int64_t kSlices = 2, kK = kInt8Slice + 320, kRows = 41, kBlocks = 7;

// Activations [41, K] packed one way or the other, and their sums with weights by panels and
// blocks.
struct Packed {
  int64_t panel_rows, panels = CeilDiv(kRows, panel_rows), rows = panels * panel_rows;
  std::vector<int8_t> q = std::vector<int8_t>(static_cast<size_t>(rows * kK));
  std::vector<float> scale = std::vector<float>(static_cast<size_t>(kSlices * rows));
  std::vector<int32_t> row_sums = std::vector<int32_t>(scale.size());
  std::vector<int32_t> sums =
      std::vector<int32_t>(static_cast<size_t>(rows * kBlocks * kInt8Features));

  Packed(const std::vector<float>& x, Int8Path path)
      : panel_rows(path == Int8Path::kAmx ? kInt8AmxRows : kInt8Rows) {
    Buffer scratch = std::move(*Buffer::Allocate(2 * kK * 4));  // on a 64-byte boundary
    for (int64_t row = 0; row < kRows; row += panel_rows) {
      QuantisePanel({.src = ViewOf(x.data(), {kRows, kK}), .row = row},
                    reinterpret_cast<float*>(scratch.data()),
                    {.path = path,
                     .q = q.data() + row * kK,
                     .scale = scale.data() + row,
                     .sums = row_sums.data() + row,
                     .stride = rows});
    }
  }
  Int8Tiles Tiles(const std::vector<int8_t>& weights, int64_t first, int64_t columns) {
    return {.a = q.data() + first * panel_rows,
            .a_stride = panel_rows * kK,
            .b = weights.data() + first * kInt8Features,
            .b_stride = kInt8Features * kK,
            .panels = panels,
            .blocks = kBlocks,
            .quads = columns / kInt8Depth,
            .sums = sums.data()};
  }
  size_t At(int64_t block, int64_t row, int64_t feature) const {
    return static_cast<size_t>((block * rows + row) * kInt8Features + feature);
  }
};

TEST(Int8AmxTest, SumsAreThoseOfTheOtherPaths) {
  uint32_t state = 1;
  const auto draw = [&] {
    state = state * 1664525 + 1013904223;
    return static_cast<int32_t>(state >> 24) - 128;
  };
  std::vector<float> x(kRows * kK);
  for (float& v : x) v = static_cast<float>(draw());
  std::vector<int8_t> weights(kBlocks * kInt8Features * kK);
  for (int8_t& w : weights) w = static_cast<int8_t>(draw());
  Packed amx(x, Int8Path::kAmx), other(x, Int8Path::kMaddubs);
  for (int64_t slice = 0; slice < kSlices; ++slice) {
    const int64_t first = slice * kInt8Slice, columns = std::min(kInt8Slice, kK - first);
    ComputeTilesWith<PlainUnit>(amx.Tiles(weights, first, columns));
    ComputeInt8Tiles(Int8Path::kMaddubs, other.Tiles(weights, first, columns));
    for (int64_t row = 0; row < kRows; ++row) {
      const auto a = static_cast<size_t>(slice * amx.rows + row),
                 o = static_cast<size_t>(slice * other.rows + row);
      ASSERT_EQ(amx.scale[a], other.scale[o]);
      ASSERT_EQ(amx.row_sums[a], 0);
      for (int64_t i = 0; i < kBlocks * kInt8Features; ++i) {
        const int64_t block = i / kInt8Features, feature = i % kInt8Features;
        ASSERT_EQ(amx.sums[amx.At(block, row, feature)],
                  other.sums[other.At(block, row, feature)] - other.row_sums[o])
            << "slice " << slice << ", row " << row << ", feature " << i;
      }
    }
  }
}

}  // namespace
}  // namespace kontext::cpu
