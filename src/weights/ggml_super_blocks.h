// ggml's blocks of 256 elements as they lie in files, and what they are worth: as ggml_blocks.h.
// Each is cut into sub-blocks with scales of 4, 6 or 8 bits, in units of the block's own.
#ifndef KONTEXT_WEIGHTS_GGML_SUPER_BLOCKS_H_
#define KONTEXT_WEIGHTS_GGML_SUPER_BLOCKS_H_

#include <cstdint>

#include "weights/ggml_blocks.h"

namespace kontext::ggml {

// Sub-blocks of 16. The codes of 128 elements lie in 32 bytes: two bits each, those of the first 32
// elements lowest.
struct Q2K {
  static constexpr int64_t kElements = 256;
  uint8_t scales[16];  // lo: of d, hi: of dmin
  uint8_t qs[64];
  F16 d, dmin;
  void Decode(float* out) const {
    const float unit = ToFloat(d), unit_min = ToFloat(dmin);
    for (size_t s = 0; s < 16; ++s) {
      const float scale = unit * static_cast<float>(scales[s] & 15);
      const float min = unit_min * static_cast<float>(scales[s] >> 4);
      const uint8_t* q = qs + 32 * (s / 8) + 16 * (s % 2);
      const int shift = 2 * static_cast<int>(s % 8 / 2);
      for (size_t l = 0; l < 16; ++l) {
        out[16 * s + l] = scale * static_cast<float>((q[l] >> shift) & 3) - min;
      }
    }
  }
};

// As Q2_K, and a third bit in hmask: if it is not set, 4 is taken off.
struct Q3K {
  static constexpr int64_t kElements = 256;
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];  // 16 of 6 bits: 8 bytes of lower nibbles, then 4 of upper pairs
  F16 d;
  void Decode(float* out) const {
    const float unit = ToFloat(d);
    for (size_t s = 0; s < 16; ++s) {
      const int low = scales[s % 8] >> (4 * (s / 8)) & 15;
      const int high = scales[8 + s % 4] >> (2 * (s / 4)) & 3;
      const float scale = unit * static_cast<float>((low | high << 4) - 32);
      const uint8_t* q = qs + 32 * (s / 8) + 16 * (s % 2);
      const uint8_t* h = hmask + 16 * (s % 2);
      const int shift = 2 * static_cast<int>(s % 8 / 2);
      const int bit = static_cast<int>(s / 2);
      for (size_t l = 0; l < 16; ++l) {
        const int code = ((q[l] >> shift) & 3) + ((h[l] >> bit) & 1) * 4 - 4;
        out[16 * s + l] = scale * static_cast<float>(code);
      }
    }
  }
};

// The 8 scales and 8 minima of Q4_K and Q5_K, 6 bits each in 12 bytes (get_scale_min_k4).
struct SixBitPairs {
  uint8_t bytes[12];
  int Scale(size_t t) const {
    return t < 4 ? bytes[t] & 63 : (bytes[t + 4] & 15) | (bytes[t - 4] >> 6) << 4;
  }
  int Min(size_t t) const {
    return t < 4 ? bytes[t + 4] & 63 : bytes[t + 4] >> 4 | (bytes[t] >> 6) << 4;
  }
};

// Sub-blocks of 32; two of them share 32 bytes, the first one has the lower nibbles.
struct Q4K {
  static constexpr int64_t kElements = 256;
  F16 d, dmin;
  SixBitPairs scales;
  uint8_t qs[128];
  void Decode(float* out) const {
    const float unit = ToFloat(d), unit_min = ToFloat(dmin);
    for (size_t s = 0; s < 8; s += 2) {
      const float scale = unit * static_cast<float>(scales.Scale(s));
      const float min = unit_min * static_cast<float>(scales.Min(s));
      const float next_scale = unit * static_cast<float>(scales.Scale(s + 1));
      const float next_min = unit_min * static_cast<float>(scales.Min(s + 1));
      const uint8_t* q = qs + 16 * s;
      float* to = out + 32 * s;
      // A shift by a variable, as below, becomes vector code there but not here (gcc 12).
      for (size_t l = 0; l < 32; ++l) to[l] = scale * static_cast<float>(q[l] & 15) - min;
      for (size_t l = 0; l < 32; ++l) {
        to[l + 32] = next_scale * static_cast<float>(q[l] >> 4) - next_min;
      }
    }
  }
};

// As Q4_K with a fifth bit: bit s of qh is that of sub-block s.
struct Q5K {
  static constexpr int64_t kElements = 256;
  F16 d, dmin;
  SixBitPairs scales;
  uint8_t qh[32];
  uint8_t qs[128];
  void Decode(float* out) const {
    const float unit = ToFloat(d), unit_min = ToFloat(dmin);
    for (size_t s = 0; s < 8; ++s) {
      const float scale = unit * static_cast<float>(scales.Scale(s));
      const float min = unit_min * static_cast<float>(scales.Min(s));
      const uint8_t* q = qs + 32 * (s / 2);
      const int shift = 4 * static_cast<int>(s % 2), bit = static_cast<int>(s);
      for (size_t l = 0; l < 32; ++l) {
        const int code = ((q[l] >> shift) & 15) + ((qh[l] >> bit) & 1) * 16;
        out[32 * s + l] = scale * static_cast<float>(code) - min;
      }
    }
  }
};

// Sub-blocks of 16. The lower four bits of 128 elements lie in 64 bytes, nibble by nibble; their
// upper two in 32 bytes, as Q2_K's.
struct Q6K {
  static constexpr int64_t kElements = 256;
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  F16 d;
  void Decode(float* out) const {
    const float unit = ToFloat(d);
    for (size_t s = 0; s < 16; ++s) {
      const float scale = unit * static_cast<float>(scales[s]);
      const size_t quarter = s % 8 / 2;  // of 128 elements, 32 each
      const uint8_t* low = ql + 64 * (s / 8) + 32 * (quarter % 2) + 16 * (s % 2);
      const uint8_t* high = qh + 32 * (s / 8) + 16 * (s % 2);
      const int shift_low = 4 * static_cast<int>(quarter / 2);
      const int shift_high = 2 * static_cast<int>(quarter);
      for (size_t l = 0; l < 16; ++l) {
        const int code = ((low[l] >> shift_low) & 15) | ((high[l] >> shift_high) & 3) << 4;
        out[16 * s + l] = scale * static_cast<float>(code - 32);
      }
    }
  }
};

// Sub-blocks of 32, each as Iq4Nl with a scale of 6 bits.
struct Iq4Xs {
  static constexpr int64_t kElements = 256;
  F16 d;
  uint16_t scales_h;
  uint8_t scales_l[4];
  uint8_t qs[8][16];
  void Decode(float* out) const {
    const float unit = ToFloat(d);
    for (size_t s = 0; s < 8; ++s) {
      const int low = scales_l[s / 2] >> (4 * (s % 2)) & 15;
      const int high = scales_h >> (2 * s) & 3;
      LookUp(qs[s], kIq4Values, unit * static_cast<float>((low | high << 4) - 32), out + 32 * s);
    }
  }
};

}  // namespace kontext::ggml

#endif  // KONTEXT_WEIGHTS_GGML_SUPER_BLOCKS_H_
