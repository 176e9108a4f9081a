// Every encoding of safetensors files against what its own software reads from the same file
// (tools/formats/fixtures; for SVDQuant the writer's own numbers). With KX_NUDGE=encodings in the
// environment one bit of each weight is another, and Golden has to fail.
#include "weights/encodings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <list>

#include "io/checkpoint.h"
#include "weights/weight_file.h"

namespace kontext {
namespace {

const std::string kFolder = KX_SOURCE_DIR "/tests/data/formats/";
constexpr int64_t kEvery = 7;  // the rows that values.safetensors has

std::vector<float> Row(const WeightRows& weight, int64_t row) {
  const int64_t columns = weight.rank() < 2 ? weight.dim(0) : weight.dim(1);
  std::vector<float> values(static_cast<size_t>(columns));
  weight.Decode(row, 0, columns, values.data());
  return values;
}

// The tensors with a bit of every matrix's first code turned; `copies` keeps them.
std::map<std::string, ConstTensorView> Nudged(std::map<std::string, ConstTensorView> raw,
                                              std::list<std::vector<std::byte>>& copies) {
  for (auto& [name, view] : raw) {
    if (!name.ends_with("weight") || view.dtype() == DType::kF32) continue;
    const auto bytes = static_cast<size_t>(view.shape().NumElements() * SizeOf(view.dtype()));
    copies.emplace_back(view.data(), view.data() + bytes);
    copies.back()[0] ^= std::byte{4};
    view = ConstTensorView(copies.back().data(), view.dtype(), view.shape());
  }
  return raw;
}

struct Format {
  const char* name;
  const char* encoding;  // as WeightRows::encoding() says it
  // Roundings that lie between two ways to compute a value, times how far a term of its sum may
  // exceed the largest value.
  float roundings = 2;
};

void PrintTo(const Format& format, std::ostream* out) { *out << format.name; }

class Encodings : public testing::TestWithParam<Format> {};

TEST_P(Encodings, Golden) {
  const Format& format = GetParam();
  const std::string path = kFolder + format.name + ".safetensors";
  const auto checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.message();
  auto raw = checkpoint->tensors();
  std::list<std::vector<std::byte>> copies;
  const char* nudge = std::getenv("KX_NUDGE");
  if (nudge != nullptr && std::string_view(nudge) == "encodings") raw = Nudged(raw, copies);
  const auto weights = FoldEncodings(raw, checkpoint->metadata(), path);
  ASSERT_TRUE(weights.ok()) << weights.message();
  const auto values = Checkpoint::Open(kFolder + "values.safetensors");
  ASSERT_TRUE(values.ok()) << values.message();

  int matrices = 0;
  for (const auto& [key, expected] : values->tensors()) {
    const std::string prefix = std::string(format.name) + "/";
    if (!key.starts_with(prefix)) continue;
    const std::string name = key.substr(prefix.size());
    SCOPED_TRACE(name);
    ASSERT_TRUE(weights->contains(name));
    const WeightRows& weight = weights->at(name);
    const bool matrix = weight.rank() == 2;
    const int64_t rows = matrix ? weight.dim(0) : 1;
    ASSERT_EQ(expected.shape().NumElements(),
              (matrix ? (rows - 1) / kEvery + 1 : 1) * weight.dim(matrix ? 1 : 0));
    const auto* want = expected.As<float>();
    float worst = 0, largest = 0;
    for (int64_t row = 0; row < rows; row += kEvery) {
      for (const float got : Row(weight, row)) {
        ASSERT_TRUE(std::isfinite(got));
        worst = std::max(worst, std::abs(got - *want));
        largest = std::max(largest, std::abs(*want++));
      }
    }
    const float bound = format.roundings * 0x1p-24f * largest;
    std::printf("%-22s %-40s worst %.3g, bound %.3g\n", format.name, name.c_str(),
                static_cast<double>(worst), static_cast<double>(bound));
    EXPECT_LE(worst, bound);
    if (!matrix) continue;
    ++matrices;
    if (!name.ends_with("norm.linear.weight") && !name.ends_with("norm1.linear.weight")) {
      EXPECT_EQ(weight.encoding(), format.encoding);
    } else {
      EXPECT_EQ(weight.encoding(), "AWQ int4");
    }
  }
  EXPECT_GE(matrices, 1);
}

// A weight may be asked for in parts that begin at whole granules, and for its bytes in the file.
TEST_P(Encodings, PartsOfRowsAreTheSameNumbers) {
  const auto file = WeightFile::Open(kFolder + GetParam().name + ".safetensors");
  ASSERT_TRUE(file.ok()) << file.message();
  for (const auto& [name, weight] : (*file)->tensors()) {
    if (weight.rank() != 2 || !weight.is_encoded()) continue;
    SCOPED_TRACE(name);
    const std::vector<float> row = Row(weight, weight.dim(0) - 1);
    for (int64_t begin = 0; begin < weight.dim(1); begin += EncodedMatrix::kGranule) {
      const int64_t end = std::min(begin + EncodedMatrix::kGranule, weight.dim(1));
      std::vector<float> part(static_cast<size_t>(end - begin));
      weight.Rows(weight.dim(0) - 1, weight.dim(0)).Decode(0, begin, end, part.data());
      EXPECT_EQ(part, std::vector<float>(row.begin() + begin, row.begin() + end));
    }
    std::vector<ByteSpan> spans;
    weight.Touches(spans);
    size_t bytes = 0;
    for (const ByteSpan& span : spans) bytes += span.size();
    EXPECT_GE(bytes, static_cast<size_t>(weight.shape().NumElements() / 2));
  }
}

// SVDQuant: 16 products of the branch, and terms up to 4 times the largest sum; a bias whose shift
// is undone sums 128 or 384 of them. ConvRot: 256 terms, of a sixteenth each.
INSTANTIATE_TEST_SUITE_P(
    Files, Encodings,
    testing::Values(Format{"fp8_e4m3fn", "fp8 E4M3", 0}, Format{"fp8_e5m2", "fp8 E5M2", 0},
                    Format{"comfy_float8_e4m3fn", "fp8 E4M3 with scale"},
                    Format{"comfy_float8_e5m2", "fp8 E5M2 with scale"},
                    Format{"comfy_scaled_fp8", "fp8 E4M3 with scale"},
                    Format{"comfy_nvfp4", "NVFP4", 3}, Format{"comfy_mxfp8", "MXFP8", 0},
                    Format{"comfy_int8_tensorwise", "int8"},
                    Format{"comfy_int8_convrot", "int8 ConvRot", 256 / 16 + 8},
                    Format{"comfy_int8_blockwise", "int8 in blocks"}, Format{"bnb_nf4", "NF4", 3},
                    Format{"bnb_nf4_double", "NF4", 5}, Format{"bnb_fp4", "FP4", 3},
                    Format{"svdquant_int4", "SVDQuant int4", 4 * 384},
                    Format{"svdquant_fp4", "SVDQuant fp4", 4 * 32}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace kontext
