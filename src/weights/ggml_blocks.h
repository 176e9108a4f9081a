// ggml's blocks of 32 and 64 elements as they lie in files, and what they are worth (spec weights
// 7.3; ggml-common.h, ggml-quants.c, dequantize_row_*). Decode is called on a copy of the block in
// a local variable: its loops have constant bounds and an output that nothing else views, so that
// compilers turn them into vector code. lo is a byte's lower nibble, hi the upper one; the lower
// ones of a block are its first half.
#ifndef KONTEXT_WEIGHTS_GGML_BLOCKS_H_
#define KONTEXT_WEIGHTS_GGML_BLOCKS_H_

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "base/bf16.h"

namespace kontext::ggml {

// What the codes of IQ4_NL and IQ4_XS are worth, in units of the scale (kvalues_iq4nl).
inline constexpr std::array<float, 16> kIq4Values = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                     1,    13,   25,  38,  53,  69,  89,  113};
// Twice E2M1, as ggml has it beside half the scale: so 2^128, the largest of MXFP4's scales, fits.
inline constexpr std::array<float, 16> kE2M1Doubled = {0, 1,  2,  3,  4,  6,  8,  12,
                                                       0, -1, -2, -3, -4, -6, -8, -12};

// Element k of entry b is 16 if bit k of b is set: the fifth bits of eight elements.
inline constexpr auto kFifthBits = [] {
  std::array<std::array<uint8_t, 8>, 256> table{};
  for (size_t b = 0; b < table.size(); ++b) {
    for (size_t k = 0; k < 8; ++k) table[b][k] = static_cast<uint8_t>(((b >> k) & 1) << 4);
  }
  return table;
}();

// The nibbles of 16 bytes as 32 codes, in order.
inline std::array<uint8_t, 32> Nibbles(const uint8_t (&qs)[16]) {
  std::array<uint8_t, 32> codes;
  for (size_t j = 0; j < 16; ++j) codes[j] = static_cast<uint8_t>(qs[j] & 15);
  for (size_t j = 0; j < 16; ++j) codes[j + 16] = static_cast<uint8_t>(qs[j] >> 4);
  return codes;
}

// The same with bit j of `qh` on top of code j.
inline std::array<uint8_t, 32> FiveBits(const uint8_t (&qs)[16], const uint8_t (&qh)[4]) {
  std::array<uint8_t, 32> high, codes = Nibbles(qs);
  for (size_t b = 0; b < 4; ++b) std::memcpy(&high[8 * b], &kFifthBits[qh[b]], 8);
  for (size_t j = 0; j < 32; ++j) codes[j] = static_cast<uint8_t>(codes[j] | high[j]);
  return codes;
}

// out[j] = values[code j] * scale, rounded once as ggml rounds it.
inline void LookUp(const uint8_t (&qs)[16], const std::array<float, 16>& values, float scale,
                   float* out) {
  std::array<float, 16> scaled;
  for (size_t i = 0; i < 16; ++i) scaled[i] = values[i] * scale;
  for (size_t j = 0; j < 16; ++j) {
    out[j] = scaled[qs[j] & 15];
    out[j + 16] = scaled[qs[j] >> 4];
  }
}

struct Q4_0 {
  static constexpr int64_t kElements = 32;
  F16 d;
  uint8_t qs[16];
  void Decode(float* out) const {  // (code - 8) d
    const float scale = ToFloat(d);
    const auto codes = Nibbles(qs);
    for (size_t j = 0; j < 32; ++j) out[j] = static_cast<float>(codes[j] - 8) * scale;
  }
};

struct Q4_1 {
  static constexpr int64_t kElements = 32;
  F16 d, m;
  uint8_t qs[16];
  void Decode(float* out) const {  // code d + m
    const float scale = ToFloat(d), offset = ToFloat(m);
    const auto codes = Nibbles(qs);
    for (size_t j = 0; j < 32; ++j) out[j] = static_cast<float>(codes[j]) * scale + offset;
  }
};

struct Q5_0 {
  static constexpr int64_t kElements = 32;
  F16 d;
  uint8_t qh[4];
  uint8_t qs[16];
  void Decode(float* out) const {  // (code - 16) d
    const float scale = ToFloat(d);
    const auto codes = FiveBits(qs, qh);
    for (size_t j = 0; j < 32; ++j) out[j] = static_cast<float>(codes[j] - 16) * scale;
  }
};

struct Q5_1 {
  static constexpr int64_t kElements = 32;
  F16 d, m;
  uint8_t qh[4];
  uint8_t qs[16];
  void Decode(float* out) const {  // code d + m
    const float scale = ToFloat(d), offset = ToFloat(m);
    const auto codes = FiveBits(qs, qh);
    for (size_t j = 0; j < 32; ++j) out[j] = static_cast<float>(codes[j]) * scale + offset;
  }
};

struct Q8_0 {
  static constexpr int64_t kElements = 32;
  F16 d;
  int8_t qs[32];
  void Decode(float* out) const {  // code d
    const float scale = ToFloat(d);
    for (size_t j = 0; j < 32; ++j) out[j] = static_cast<float>(qs[j]) * scale;
  }
};

struct Iq4Nl {
  static constexpr int64_t kElements = 32;
  F16 d;
  uint8_t qs[16];
  void Decode(float* out) const { LookUp(qs, kIq4Values, ToFloat(d), out); }
};

struct Mxfp4 {
  static constexpr int64_t kElements = 32;
  uint8_t e;
  uint8_t qs[16];
  void Decode(float* out) const {  // E2M1 2^(e - 127)
    // Half of it, 2^(e - 128), is a subnormal float for the two smallest e.
    const uint32_t half = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
    LookUp(qs, kE2M1Doubled, std::bit_cast<float>(half), out);
  }
};

// Four runs of 16 elements, each with 8 bytes and a scale in E4M3 whose sign bit does not count.
struct Nvfp4 {
  static constexpr int64_t kElements = 64;
  uint8_t d[4];
  uint8_t qs[32];
  void Decode(float* out) const {
    for (size_t s = 0; s < 4; ++s) {
      const float half = 0.5f * Scale(d[s]);
      for (size_t j = 0; j < 8; ++j) {
        out[16 * s + j] = kE2M1Doubled[qs[8 * s + j] & 15] * half;
        out[16 * s + j + 8] = kE2M1Doubled[qs[8 * s + j] >> 4] * half;
      }
    }
  }

 private:
  static float Scale(uint8_t code) {  // ggml_ue4m3_to_fp32: NaN's code is 0, too
    if (code == 0 || code == 0x7F) return 0.0f;
    const auto exponent = static_cast<uint32_t>((code >> 3) & 15);
    const auto mantissa = static_cast<uint32_t>(code & 7);
    if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-9f;
    return std::bit_cast<float>(((exponent + 120) << 23) | (mantissa << 20));
  }
};

}  // namespace kontext::ggml

#endif  // KONTEXT_WEIGHTS_GGML_BLOCKS_H_
