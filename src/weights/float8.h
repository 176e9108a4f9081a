// Floats of 8 and 4 bits as tables of what their codes are worth (spec weights 5 and 6).
#ifndef KONTEXT_WEIGHTS_FLOAT8_H_
#define KONTEXT_WEIGHTS_FLOAT8_H_

#include <array>
#include <cstdint>
#include <limits>

#include "tensor/dtype.h"

namespace kontext {

namespace internal {
// Sign, `exponent_bits`, the rest mantissa. `bias` is the exponent's; nothing is special.
constexpr float SmallFloat(int code, int exponent_bits, int bias) {
  const int mantissa_bits = 7 - exponent_bits;
  const int exponent = (code & 0x7F) >> mantissa_bits;
  const int mantissa = code & ((1 << mantissa_bits) - 1);
  float value = static_cast<float>(mantissa) / static_cast<float>(1 << mantissa_bits);
  if (exponent != 0) value += 1.0f;
  for (int e = (exponent == 0 ? 1 : exponent) - bias; e != 0; e += e < 0 ? 1 : -1)
    value *= e < 0 ? 0.5f : 2.0f;
  return (code & 0x80) != 0 ? -value : value;
}

constexpr std::array<float, 256> Float8Values(bool e4m3) {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::array<float, 256> values{};
  for (int code = 0; code < 256; ++code) {
    float value = SmallFloat(code, e4m3 ? 4 : 5, e4m3 ? 7 : 15);
    const int magnitude = code & 0x7F;
    if (e4m3 && magnitude == 0x7F) value = kNaN;
    if (!e4m3 && magnitude == 0x7C) value = code < 0x80 ? kInfinity : -kInfinity;
    if (!e4m3 && magnitude > 0x7C) value = kNaN;
    values[static_cast<size_t>(code)] = value;
  }
  return values;
}
}  // namespace internal

inline constexpr std::array<float, 256> kE4M3Values = internal::Float8Values(true);
inline constexpr std::array<float, 256> kE5M2Values = internal::Float8Values(false);
inline constexpr std::array<float, 16> kE2M1Values = {0, .5f,  1,  1.5f,  2,  3,  4,  6,
                                                      0, -.5f, -1, -1.5f, -2, -3, -4, -6};

// kF8E4M3 or kF8E5M2.
constexpr const std::array<float, 256>& Float8Table(DType t) {
  return t == DType::kF8E5M2 ? kE5M2Values : kE4M3Values;
}

// E8M0 of an MXFP8 scale: 2^(code - 127). Code 0, which blocks of zeros have, counts as 0, as in
// comfy-kitchen; 255 is NaN.
constexpr std::array<float, 256> kE8M0Values = [] {
  std::array<float, 256> values{};
  float value = 0x1p-126f;
  for (size_t code = 1; code < 255; ++code, value *= code < 255 ? 2.0f : 1.0f) values[code] = value;
  values[255] = std::numeric_limits<float>::quiet_NaN();
  return values;
}();

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_FLOAT8_H_
