// The two 16-bit floats of checkpoint files, as bits, and their conversions to and from float.
#ifndef KONTEXT_BASE_BF16_H_
#define KONTEXT_BASE_BF16_H_

#include <bit>
#include <cstdint>

namespace kontext {

struct BF16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

inline float ToFloat(float x) { return x; }
inline float ToFloat(BF16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

// Round to nearest, ties to even, as torch does; a NaN stays a (quiet) NaN.
inline BF16 ToBF16(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  if ((u & 0x7FFFFFFFu) > 0x7F800000u) return BF16{static_cast<uint16_t>((u >> 16) | 0x0040u)};
  return BF16{static_cast<uint16_t>((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16)};
}
inline float RoundToBF16(float x) { return ToFloat(ToBF16(x)); }

// IEEE binary16 -> float, exact for every one of its 65,536 codes.
inline float ToFloat(F16 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000u) << 16;
  const uint32_t exponent = (x.bits >> 10) & 0x1Fu;
  const uint32_t mantissa = x.bits & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float subnormal = static_cast<float>(mantissa) * 0x1p-24f;  // zero included
  return std::bit_cast<float>(std::bit_cast<uint32_t>(subnormal) | sign);
}

}  // namespace kontext

#endif  // KONTEXT_BASE_BF16_H_
