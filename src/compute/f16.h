// Float to binary16, for the copies that store it (base/bf16.h has the way back).
#ifndef KONTEXT_COMPUTE_F16_H_
#define KONTEXT_COMPUTE_F16_H_

#include <bit>
#include <cstdint>

#include "base/bf16.h"

namespace kontext {

// Round to nearest, ties to even; beyond 65504 an infinity; a NaN stays a (quiet) NaN.
inline F16 ToF16(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t magnitude = u & 0x7FFFFFFFu;
  uint32_t bits;
  if (magnitude > 0x7F800000u) {
    bits = 0x7E00u;
  } else if (magnitude >=
             0x477FF000u) {  // 65520: the half-way point to 2^16 rounds up, to infinity
    bits = 0x7C00u;
  } else if (magnitude <
             0x38800000u) {  // below 2^-14 the spacing is 2^-24, as that of floats near 0.5
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    bits = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f);
  } else {  // drop 13 bits with rounding; 112 = 127 - 15 exponents lower
    bits = (magnitude - (112u << 23) + 0x0FFFu + ((magnitude >> 13) & 1u)) >> 13;
  }
  return F16{static_cast<uint16_t>(sign | bits)};
}

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_F16_H_
