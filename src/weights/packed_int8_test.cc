#include "tensor/packed_int8.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "tensor/convrot.h"
#include "weights/random_source.h"

namespace kontext {
namespace {

// R by its definition, a Kronecker power of H4.
float RotationAt(int row, int column) {
  constexpr float kH4[4][4] = {
      {.5f, .5f, .5f, -.5f}, {.5f, .5f, -.5f, .5f}, {.5f, -.5f, .5f, .5f}, {-.5f, .5f, .5f, .5f}};
  float product = 1;
  for (int digit = 0; digit < 4; ++digit, row /= 4, column /= 4)
    product *= kH4[row % 4][column % 4];
  return product;
}

// The must-fail twin rotates with one value off (tests/must_fail).
bool Nudged() {
  const char* nudge = std::getenv("KX_NUDGE");
  return nudge != nullptr && std::string(nudge) == "convrot";
}

TEST(ConvRot, IsTheKroneckerPowerOfH4) {
  const std::vector<float> x = FillUniform("x", kRotationGroup);
  std::vector<float> got = x;
  RotateGroup(got.data());
  if (Nudged()) got[17] += 0.01f;
  double worst = 0, bound = 0;
  for (int i = 0; i < kRotationGroup; ++i) {
    double want = 0;
    for (int j = 0; j < kRotationGroup; ++j)
      want += double{RotationAt(i, j)} * x[static_cast<size_t>(j)];
    worst = std::max(worst, std::fabs(got[static_cast<size_t>(i)] - want));
  }
  // Four passes of four roundings of values at most 16 (256 values of at most 1, times 1/16).
  bound = 16 * 16 * std::numeric_limits<float>::epsilon() / 2;
  RecordProperty("worst", std::to_string(worst));
  EXPECT_LE(worst, bound);
}

TEST(ConvRot, TwiceIsNothing) {
  const std::vector<float> x = FillUniform("y", kRotationGroup);
  std::vector<float> got = x;
  RotateGroup(got.data());
  RotateGroup(got.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(got[i], x[i], 4e-6f) << i;
}

struct Encoded {
  std::vector<int8_t> weight;
  std::vector<float> scale;
  std::vector<int32_t> sums;
  std::unique_ptr<PackedInt8> matrix;
};

Encoded Encode(const std::vector<float>& values, int64_t rows, int64_t columns, int64_t rotation) {
  Encoded e;
  const int64_t blocks = PackedInt8::PaddedRows(rows) / PackedInt8::kRows;
  const int64_t block_bytes = PackedInt8::kRows * PackedInt8::PaddedColumns(columns);
  e.weight.assign(static_cast<size_t>(blocks * block_bytes), 99);
  e.scale.resize(static_cast<size_t>(rows));
  e.sums.resize(static_cast<size_t>(rows));
  std::vector<float> copy = values;
  for (int64_t b = 0; b < blocks; ++b) {
    std::vector<float*> row;
    for (int64_t r = b * 16; r < std::min(rows, b * 16 + 16); ++r)
      row.push_back(copy.data() + r * columns);
    int64_t bad = -1;
    EXPECT_TRUE(EncodeInt8Block(row.data(), static_cast<int64_t>(row.size()), columns, rotation,
                                e.weight.data() + b * block_bytes, e.scale.data() + b * 16,
                                e.sums.data() + b * 16, &bad));
  }
  e.matrix = std::make_unique<PackedInt8>(
      rows, columns, PackedInt8::Parts{e.weight.data(), e.scale.data(), e.sums.data(), rotation});
  return e;
}

std::vector<float> DecodeAll(const PackedInt8& m) {
  std::vector<float> all(static_cast<size_t>(m.rows * m.columns));
  for (int64_t r = 0; r < m.rows; ++r) m.Decode(r, 0, m.columns, all.data() + r * m.columns);
  return all;
}

double RelativeError(const std::vector<float>& want, const std::vector<float>& got) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(double{got[i]} - want[i], 2);
    norm += std::pow(double{want[i]}, 2);
  }
  return std::sqrt(error / norm);
}

TEST(PackedInt8, LayoutScaleAndSums) {
  constexpr int64_t kRows = 19, kColumns = 7;
  std::vector<float> values(kRows * kColumns);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 13) - 6;
  const Encoded e = Encode(values, kRows, kColumns, 1);
  ASSERT_EQ(e.weight.size(), 32u * 8u);
  for (int64_t r = 0; r < kRows; ++r) {
    int32_t sum = 0;
    for (int64_t k = 0; k < kColumns; ++k) {
      const auto q =
          e.weight[static_cast<size_t>(r / 16 * 16 * 8 + k / 4 * 64 + r % 16 * 4 + k % 4)];
      EXPECT_NEAR(static_cast<float>(q) * e.scale[static_cast<size_t>(r)],
                  values[static_cast<size_t>(r * kColumns + k)],
                  e.scale[static_cast<size_t>(r)] / 2);
      sum += q;
    }
    EXPECT_EQ(e.sums[static_cast<size_t>(r)], sum);
    EXPECT_EQ(e.weight[static_cast<size_t>(r / 16 * 16 * 8 + 64 + r % 16 * 4 + 3)], 0)
        << "padded column";
  }
  for (size_t r = 19; r < 32; ++r) EXPECT_EQ(e.weight[128 + r % 16 * 4], 0) << "padded row " << r;
}

TEST(PackedInt8, RoundTripWithinHalfAStep) {
  for (const int64_t columns : {256, 768, 100}) {
    constexpr int64_t kRows = 20;
    const int64_t rotation = PackedInt8::RotationFor(columns);
    const std::vector<float> values = FillUniform("w", kRows * columns);
    const Encoded e = Encode(values, kRows, columns, rotation);
    const std::vector<float> got = DecodeAll(*e.matrix);
    for (int64_t r = 0; r < kRows; ++r) {
      double error = 0;
      for (int64_t k = 0; k < columns; ++k) {
        const auto i = static_cast<size_t>(r * columns + k);
        error += std::pow(double{got[i]} - values[i], 2);
      }
      // Every rotated value is at most half a step off, and a rotation keeps lengths.
      const double bound =
          std::sqrt(static_cast<double>(columns)) * e.scale[static_cast<size_t>(r)] / 2;
      EXPECT_LE(std::sqrt(error), bound * 1.001) << columns << " columns, row " << r;
    }
  }
}

TEST(PackedInt8, DecodesAnyRunOfGranules) {
  constexpr int64_t kColumns = 1024;
  const Encoded e = Encode(FillUniform("w", 16 * kColumns), 16, kColumns, 256);
  std::vector<float> all(kColumns), some(512);
  e.matrix->Decode(5, 0, kColumns, all.data());
  e.matrix->Decode(5, 256, 768, some.data());
  for (size_t i = 0; i < some.size(); ++i) EXPECT_EQ(some[i], all[256 + i]);
}

TEST(PackedInt8, TouchesWholeBlocks) {
  const Encoded e = Encode(FillUniform("w", 40 * 256), 40, 256, 256);
  std::vector<ByteSpan> spans;
  e.matrix->Touches(17, 33, spans);
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(reinterpret_cast<const int8_t*>(spans[0].data()), e.weight.data() + 16 * 256);
  EXPECT_EQ(spans[0].size(), 32u * 256u);
  EXPECT_EQ(spans[1].size(), 16u * sizeof(float));
}

// Rows of a real width in which a few columns are 30 times as large, as trained weights have.
TEST(PackedInt8, RotationSpreadsOutliers) {
  constexpr int64_t kRows = 64, kColumns = 3072;
  for (const bool outliers : {false, true}) {
    std::vector<float> values = FillUniform("w", kRows * kColumns);
    for (int64_t r = 0; outliers && r < kRows; ++r) {
      for (const int64_t k : {7, 900, 2500}) values[static_cast<size_t>(r * kColumns + k)] *= 30;
    }
    const double plain =
        RelativeError(values, DecodeAll(*Encode(values, kRows, kColumns, 1).matrix));
    const double rotated =
        RelativeError(values, DecodeAll(*Encode(values, kRows, kColumns, 256).matrix));
    std::printf("[ measured ] [64,3072]%s: relative error %.5f plain, %.5f rotated\n",
                outliers ? ", 3 columns x 30" : "", plain, rotated);
    // The error of a row is its step / sqrt(12). Uniform values fill their range best as they are,
    // and rotation makes normal ones of them, the largest of 3072 at 3.5 to 5 deviations.
    EXPECT_LE(rotated, 5.0 / 127 / std::sqrt(12.0) * (outliers ? 2 : 1));
    if (outliers) {
      EXPECT_LT(rotated, plain / 2);
    }
  }
}

TEST(PackedInt8, ZerosAndTinyRowsAreZeros) {
  std::vector<float> values(3 * 256, 0.0f);
  values[256] = 1e-40f;
  values[512] = 1e-20f;
  const Encoded e = Encode(values, 3, 256, 256);
  const std::vector<float> got = DecodeAll(*e.matrix);
  EXPECT_EQ(e.scale[0], 0.0f);
  EXPECT_EQ(got[256], 0.0f);
  EXPECT_NEAR(got[512], 1e-20f, 1e-21f);
}

TEST(PackedInt8, RefusesWhatIsNoNumber) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> a(256, 1.0f), b(256, 1.0f);
    b[100] = bad;
    float* rows[] = {a.data(), b.data()};
    std::vector<int8_t> weight(16 * 256);
    float scale[2];
    int32_t sums[2];
    int64_t row = -1;
    EXPECT_FALSE(EncodeInt8Block(rows, 2, 256, 256, weight.data(), scale, sums, &row));
    EXPECT_EQ(row, 1);
  }
}

}  // namespace
}  // namespace kontext
