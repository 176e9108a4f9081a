// The order of activations and the loops that AMX runs, on a unit in plain loops: what it
// multiplies must be what every other path does. The instructions themselves are run by the
// conformance tests where the processor has them.
#include "compute/cpu/int8_amx.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "compute/cpu/int8_rows.h"
#include "tensor/arena.h"

namespace kontext::cpu {
namespace {

// tileloadd, tdpbssd and tilestored of Intel's software developer's manual, on registers of 6 rows
// of activations or sums and 16 rows of weights.
struct PlainUnit {
  static inline std::array<std::array<int32_t, kInt8Rows * kInt8Features>, kAmxPanels> sums;
  static inline std::array<int8_t, kInt8Features * kAmxDepth> weights;

  static void Zero() {
    for (auto& panel : sums) panel.fill(0);
  }
  static void LoadWeights(const int8_t* b) { std::memcpy(weights.data(), b, weights.size()); }
  template <int kPanel>
  static void Multiply(const int8_t* a) {
    for (int64_t m = 0; m < kInt8Rows; ++m) {
      for (int64_t n = 0; n < kInt8Features; ++n) {
        int32_t& sum = sums[kPanel][static_cast<size_t>(m * kInt8Features + n)];
        for (int64_t k = 0; k < kAmxDepth; ++k) {
          const int64_t at = (k / kInt8Depth * kInt8Features + n) * kInt8Depth + k % kInt8Depth;
          sum += a[m * kAmxDepth + k] * weights[static_cast<size_t>(at)];
        }
      }
    }
  }
  template <int kPanel>
  static void Store(int32_t* to) {
    std::memcpy(to, sums[kPanel].data(), sizeof(sums[kPanel]));
  }
};

constexpr int64_t kSlices = 2, kK = kInt8Slice + 320, kRows = 41, kPanels = 7, kBlocks = 3;

// Activations [41, K] packed one way or the other, and their sums with weights by panels and
// blocks.
struct Packed {
  std::vector<int8_t> q = std::vector<int8_t>(kPanels * kInt8Rows * kK);
  std::vector<float> scale = std::vector<float>(kSlices * kPanels * kInt8Rows);
  std::vector<int32_t> row_sums = std::vector<int32_t>(scale.size());
  std::vector<int32_t> sums = std::vector<int32_t>(kPanels * kInt8Rows * kBlocks * kInt8Features);

  Packed(const std::vector<float>& x, bool amx) {
    Buffer scratch = std::move(*Buffer::Allocate(2 * kK * 4));  // on a 64-byte boundary
    for (int64_t i = 0; i < kPanels; ++i) {
      const int64_t row = i * kInt8Rows;
      QuantisePanel(ViewOf(x.data(), {kRows, kK}), row, std::min(kInt8Rows, kRows - row), 1,
                    reinterpret_cast<float*>(scratch.data()),
                    {.q = q.data() + row * kK,
                     .scale = scale.data() + row,
                     .sums = row_sums.data() + row,
                     .stride = kPanels * kInt8Rows,
                     .amx = amx});
    }
  }
  Int8Tiles Tiles(const std::vector<int8_t>& weights, int64_t first, int64_t columns) {
    return {.a = q.data() + first * kInt8Rows,
            .a_stride = kInt8Rows * kK,
            .b = weights.data() + first * kInt8Features,
            .b_stride = kInt8Features * kK,
            .panels = kPanels,
            .blocks = kBlocks,
            .quads = columns / kInt8Depth,
            .sums = sums.data()};
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
  Packed amx(x, true), other(x, false);
  EXPECT_EQ(amx.scale, other.scale);
  EXPECT_NE(amx.q, other.q);  // another order: the test would miss its point else
  for (int64_t slice = 0; slice < kSlices; ++slice) {
    const int64_t first = slice * kInt8Slice, columns = std::min(kInt8Slice, kK - first);
    ComputeTilesWith<PlainUnit>(amx.Tiles(weights, first, columns));
    ComputeInt8Tiles(Int8Path::kMaddubs, other.Tiles(weights, first, columns));
    for (int64_t i = 0; i < std::ssize(amx.sums); ++i) {
      const int64_t row = i / kInt8Features % (kPanels * kInt8Rows);
      const size_t at = static_cast<size_t>(slice * kPanels * kInt8Rows + row);
      ASSERT_EQ(amx.row_sums[at], 0);
      ASSERT_EQ(amx.sums[static_cast<size_t>(i)],
                other.sums[static_cast<size_t>(i)] - other.row_sums[at])
          << "slice " << slice << ", sum " << i;
    }
  }
}

}  // namespace
}  // namespace kontext::cpu
