// The exponential and the conversions of simd-inl.h, on every target this processor has.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "compute/cpu/rows.h"
#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/simd_test.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

void Exp2Here(InRow src, OutRow dst, int64_t size) {
  ByVectors(size, [&](int64_t i, size_t n)
                      HWY_ATTR { StoreRow(Exp2(DF(), LoadRow(src, i, n)), dst, i, n); });
}

void CopyHere(InRow src, OutRow dst, int64_t size) {
  ByVectors(size, [&](int64_t i, size_t n) HWY_ATTR { StoreRow(LoadRow(src, i, n), dst, i, n); });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kontext::cpu {
namespace {

HWY_EXPORT(Exp2Here);
HWY_EXPORT(CopyHere);

// body() once per target that this processor and KONTEXT_ISA allow.
template <class Body>
void OnEveryTarget(Body body) {
  const int64_t supported = hwy::SupportedTargets() & HWY_TARGETS;
  for (int64_t left = supported; left != 0; left &= left - 1) {
    const int64_t target = left & -left;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    SCOPED_TRACE(hwy::TargetName(target));
    body(hwy::TargetName(target));
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

TEST(SimdTest, Exp2IsWithinTwoUlp) {
  std::vector<float> x;
  for (int i = -126 * 4096; i < 127 * 4096; i += 7) x.push_back(static_cast<float>(i) / 4096);
  std::vector<float> y(x.size());
  OnEveryTarget([&](const char* name) {
    const auto size = static_cast<int64_t>(x.size());
    HWY_DYNAMIC_DISPATCH(Exp2Here)({x.data(), DType::kF32}, {y.data(), DType::kF32}, size);
    double worst = 0;  // relative to 2^-23, a unit in the last place of a number in [1, 2)
    for (size_t i = 0; i < x.size(); ++i) {
      const double want = std::exp2(static_cast<double>(x[i]));
      worst = std::max(worst, std::abs(static_cast<double>(y[i]) / want - 1) * 0x1p23);
    }
    std::printf("Exp2 on %s: observed %.3f ulp, bound 2\n", name, worst);
    EXPECT_LT(worst, 2.0);
  });
}

TEST(SimdTest, Exp2Ends) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {-kInf, -1e30f, -127, 0, 1, 127, 128, 1e30f, kInf};
  const std::vector<float> want = {0, 0, 0, 1, 2, 0x1p127f, kInf, kInf, kInf};
  std::vector<float> y(x.size());
  OnEveryTarget([&](const char*) {
    HWY_DYNAMIC_DISPATCH(Exp2Here)
    ({x.data(), DType::kF32}, {y.data(), DType::kF32}, static_cast<int64_t>(x.size()));
    EXPECT_EQ(y, want);
  });
}

// All 65,536 codes widen as base/bf16.h does, and come back as they went.
TEST(SimdTest, EveryBF16Code) {
  std::vector<BF16> codes(65536), back(65536);
  for (uint32_t i = 0; i < 65536; ++i) codes[i].bits = static_cast<uint16_t>(i);
  std::vector<float> wide(65536);
  OnEveryTarget([&](const char*) {
    HWY_DYNAMIC_DISPATCH(CopyHere)
    ({codes.data(), DType::kBF16}, {wide.data(), DType::kF32}, 65536);
    HWY_DYNAMIC_DISPATCH(CopyHere)
    ({wide.data(), DType::kF32}, {back.data(), DType::kBF16}, 65536);
    for (uint32_t i = 0; i < 65536; ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), i << 16);
      ASSERT_EQ(back[i].bits, ToBF16(wide[i]).bits) << i;
    }
  });
}

// Ties, neighbours of ties, overflow and NaN round as base/bf16.h does.
TEST(SimdTest, BF16Rounding) {
  std::vector<float> x;
  for (uint32_t high = 0; high < 65536; high += 5) {
    for (uint32_t low : {0x0001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
      x.push_back(std::bit_cast<float>((high << 16) | low));
    }
  }
  std::vector<BF16> y(x.size());
  OnEveryTarget([&](const char*) {
    HWY_DYNAMIC_DISPATCH(CopyHere)
    ({x.data(), DType::kF32}, {y.data(), DType::kBF16}, static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(y[i].bits, ToBF16(x[i]).bits) << std::bit_cast<uint32_t>(x[i]);
    }
  });
}

TEST(SimdTest, EveryF16CodeWidens) {
  std::vector<F16> codes(65536);
  for (uint32_t i = 0; i < 65536; ++i) codes[i].bits = static_cast<uint16_t>(i);
  std::vector<float> wide(65536);
  OnEveryTarget([&](const char*) {
    HWY_DYNAMIC_DISPATCH(CopyHere)
    ({codes.data(), DType::kF16}, {wide.data(), DType::kF32}, 65536);
    for (uint32_t i = 0; i < 65536; ++i) {
      const float want = ToFloat(codes[i]);
      if (std::isnan(want)) {
        ASSERT_TRUE(std::isnan(wide[i])) << i;
      } else {
        ASSERT_EQ(wide[i], want) << i;
      }
    }
  });
}

}  // namespace
}  // namespace kontext::cpu
#endif  // HWY_ONCE
