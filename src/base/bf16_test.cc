#include "base/bf16.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace kontext {
namespace {

float FromBits(uint32_t bits) { return std::bit_cast<float>(bits); }
uint32_t Bits(float x) { return std::bit_cast<uint32_t>(x); }
BF16 Code(uint32_t bits) { return BF16{static_cast<uint16_t>(bits)}; }

TEST(BF16, EveryCodeThereAndBack) {
  for (uint32_t code = 0; code <= 0xFFFF; ++code) {
    const float x = ToFloat(Code(code));
    ASSERT_EQ(Bits(x), code << 16);
    // A signalling NaN comes back quiet: the top bit of its mantissa set.
    const uint32_t want = std::isnan(x) ? code | 0x40 : code;
    ASSERT_EQ(ToBF16(x).bits, want);
  }
}

// Between each code and the next: below the middle down, above it up, in the middle to the even
// one.
TEST(BF16, RoundsToNearestEven) {
  for (uint32_t code = 0; code < 0xFFFF; ++code) {
    if ((code & 0x7FFF) >= 0x7F80) continue;  // infinities and NaN
    const uint32_t low = code << 16;
    ASSERT_EQ(ToBF16(FromBits(low | 0x0001)).bits, code);
    ASSERT_EQ(ToBF16(FromBits(low | 0x7FFF)).bits, code);
    ASSERT_EQ(ToBF16(FromBits(low | 0x8000)).bits, code + (code & 1));
    ASSERT_EQ(ToBF16(FromBits(low | 0x8001)).bits, code + 1);
    ASSERT_EQ(ToBF16(FromBits(low | 0xFFFF)).bits, code + 1);
  }
}

TEST(BF16, OverflowsToInfinityAndKeepsNaN) {
  EXPECT_EQ(ToBF16(std::numeric_limits<float>::max()).bits, 0x7F80);
  EXPECT_EQ(ToBF16(std::numeric_limits<float>::lowest()).bits, 0xFF80);
  EXPECT_EQ(ToBF16(std::numeric_limits<float>::infinity()).bits, 0x7F80);
  // NaN whose payload lies in the lower half only: rounding alone would make an infinity of it.
  for (uint32_t nan : {0x7F800001u, 0x7F80FFFFu, 0xFF800001u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
    EXPECT_TRUE(std::isnan(RoundToBF16(FromBits(nan)))) << std::hex << nan;
  }
  EXPECT_EQ(ToBF16(-0.0f).bits, 0x8000);
}

// The definition, by powers of two: 1 sign, 5 exponent and 10 mantissa bits.
TEST(F16, EveryCode) {
  for (uint32_t code = 0; code <= 0xFFFF; ++code) {
    const float x = ToFloat(F16{static_cast<uint16_t>(code)});
    const int exponent = static_cast<int>(code >> 10 & 31);
    const double mantissa = static_cast<double>(code & 1023);
    ASSERT_EQ(std::signbit(x), code >> 15 == 1) << code;
    if (exponent == 31) {
      ASSERT_EQ(std::isnan(x), mantissa != 0) << code;
      ASSERT_EQ(std::isinf(x), mantissa == 0) << code;
      continue;
    }
    const double want =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    ASSERT_EQ(std::abs(double{x}), want) << code;
  }
}

}  // namespace
}  // namespace kontext
