// The library path of Linear in f32, which runs everywhere; with bf16 only where oneDNN has it.
#include "compute/cpu/onednn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace kontext::onednn {
namespace {

std::vector<float> Wave(int64_t n, double step) {
  std::vector<float> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<float>(std::sin(step * (1.0 + static_cast<double>(i))));
  return v;
}

double Silu(double x) { return x / (1 + std::exp(-x)); }

// Strided rows of src and dst, packed weights, bias, activation.
TEST(OneDnnTest, MatMulAsLinear) {
  const int64_t m = 19, k = 70, n = 37, src_stride = 75, dst_stride = 41;
  const std::vector<float> src = Wave(m * src_stride, 0.7), w = Wave(n * k, 0.3),
                           bias = Wave(n, 1.1);
  std::vector<float> dst(static_cast<size_t>(m * dst_stride), 5.0f);
  Library library;
  cpu::Workspace space;
  MatMulSpec spec{.m = 64, .k = k, .n = n, .src_stride = k, .dst_stride = n, .bias = true};
  Result<Weights> packed = library.PackMatrix(spec, w.data());  // packed for another size
  ASSERT_TRUE(packed.ok()) << packed.status().message();
  spec.m = m;
  spec.src_stride = src_stride;
  spec.dst_stride = dst_stride;
  spec.act = Activation::kSilu;
  const Status status = library.MatMul(spec, src.data(), *packed, bias.data(), dst.data(), space);
  ASSERT_TRUE(status.ok()) << status.message();
  // |terms| <= 1: k + 2 roundings of sums up to k, Silu's slope up to 1.1, and Silu's own few ulp.
  const double bound =
      1.1 * static_cast<double>((k + 2) * k) * 0x1p-24 + 8 * static_cast<double>(k) * 0x1p-24;
  double worst = 0;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < dst_stride; ++j) {
      double want = 5.0;  // untouched beyond column n
      if (j < n) {
        want = static_cast<double>(bias[static_cast<size_t>(j)]);
        for (int64_t e = 0; e < k; ++e) {
          want += static_cast<double>(src[static_cast<size_t>(i * src_stride + e)]) *
                  static_cast<double>(w[static_cast<size_t>(j * k + e)]);
        }
        want = Silu(want);
      }
      worst = std::max(
          worst,
          std::abs(want - static_cast<double>(dst[static_cast<size_t>(i * dst_stride + j)])));
    }
  }
  std::printf("oneDNN %s matmul: observed %.3g, bound %.3g\n", Version().c_str(), worst, bound);
  EXPECT_LE(worst, bound);
}

TEST(OneDnnTest, RefusalIsAStatus) {
  Library library;
  MatMulSpec spec{.m = 4, .k = 4, .n = 4, .src = Type::kS32, .src_stride = 4, .dst_stride = 4};
  const Result<std::string> implementation = library.Implementation(spec);
  ASSERT_FALSE(implementation.ok());
  EXPECT_EQ(implementation.status().code(), Code::kInternal);
  const std::vector<float> w(16);
  EXPECT_FALSE(library.PackMatrix(spec, w.data()).ok());
}

}  // namespace
}  // namespace kontext::onednn
