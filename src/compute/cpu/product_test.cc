// Sizes at which the product's chunks, slices, blocks and panels end in the middle, which are too
// large for the conformance suite's reference: a sample of the elements is computed in double.
// Operands are bf16, so that all kernels multiply the same numbers.
#include "compute/cpu/product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/threads.h"

namespace kontext::cpu {
namespace {

struct Size {
  int64_t rows, k, columns;
};

std::vector<BF16> Random(int64_t n, uint32_t state) {
  std::vector<BF16> v(static_cast<size_t>(n));
  for (BF16& x : v) {
    state = state * 1664525u + 1013904223u;
    x = ToBF16(static_cast<float>(state >> 8) * 0x1p-23f - 1.0f);
  }
  return v;
}

void CheckSample(const Size& s, const std::vector<BF16>& a, const std::vector<BF16>& w,
                 const std::vector<float>& dst) {
  double worst = 0;
  const int64_t row_step = std::max<int64_t>(1, s.rows / 61);
  const int64_t column_step = std::max<int64_t>(1, s.columns / 67);
  for (int64_t r = 0; r < s.rows;
       r = r == s.rows - 1 ? s.rows : std::min(r + row_step, s.rows - 1)) {
    for (int64_t c = 0; c < s.columns;
         c = c == s.columns - 1 ? s.columns : std::min(c + column_step, s.columns - 1)) {
      double want = 0, magnitude = 0;
      for (int64_t k = 0; k < s.k; ++k) {
        const double p = static_cast<double>(ToFloat(a[static_cast<size_t>(r * s.k + k)])) *
                         static_cast<double>(ToFloat(w[static_cast<size_t>(c * s.k + k)]));
        want += p;
        magnitude += std::abs(p);
      }
      // k roundings of a running sum that never exceeds the sum of the magnitudes.
      const double bound = static_cast<double>(s.k + 2) * 0x1p-24 * magnitude;
      const double error =
          std::abs(static_cast<double>(dst[static_cast<size_t>(r * s.columns + c)]) - want);
      worst = std::max(worst, error / bound);
      ASSERT_LE(error, bound) << "row " << r << ", column " << c;
    }
  }
  std::printf("%ld x %ld x %ld: observed/bound at most %.3f\n", static_cast<long>(s.rows),
              static_cast<long>(s.k), static_cast<long>(s.columns), worst);
}

void CheckSizes(const PanelKernel& kernel, std::initializer_list<Size> sizes) {
  for (const Size& s : sizes) {
    const std::vector<BF16> a = Random(s.rows * s.k, 1), w = Random(s.columns * s.k, 2);
    std::vector<float> dst(static_cast<size_t>(s.rows * s.columns), NAN);
    // Two parts, the seam inside a panel.
    const int64_t seam = s.columns / 2;
    std::vector<WeightRows> parts = {ViewOf(w.data() + seam * s.k, {s.columns - seam, s.k})};
    if (seam > 0) parts.insert(parts.begin(), ViewOf(w.data(), {seam, s.k}));
    Workspace space;
    for (int threads : {1, 3}) {
      const ThreadScope scope(threads);
      const Status status = Multiply(
          kernel, {{LeftRows::Matrix(ViewOf(a.data(), {s.rows, s.k})), StackedRows(parts)}},
          Epilogue{}, ViewOf(dst.data(), {s.rows, s.columns}), space);
      ASSERT_TRUE(status.ok()) << status.message();
      CheckSample(s, a, w, dst);
    }
  }
}

TEST(ProductTest, ChunksEndAnywhere) {
  CheckSizes(F32Panels(), {{2689, 33, 25},
                           {5, 600, 3073},
                           {193, 257, 3099},
                           {2791, 261, 50},
                           {1, 1, 1},
                           {97, 513, 49}});
}

TEST(ProductTest, ChunksOfAmxEndAnywhere) {
  if (PlanFor(*UsableCpuFeatures(), "bf16").path != ProductPath::kAmx) GTEST_SKIP() << "no AMX";
  CheckSizes(AmxPanels(), {{2689, 33, 65},
                           {5, 6145, 3073},
                           {193, 3105, 3099},
                           {2791, 257, 31},
                           {1, 1, 1},
                           {129, 63, 64}});
}

}  // namespace
}  // namespace kontext::cpu
