// What the kernels on AMX's registers share. A register holds 16 rows of 64 bytes: 16 rows of 32
// bf16 values of k, or 16 pairs of k of 16 columns, or 16 x 16 sums. Registers 0 to 3 are sums, two
// by two; 4 and 5 hold rows, 6 and 7 columns, so that each loaded register is multiplied twice.
#ifndef KONTEXT_COMPUTE_CPU_AMX_TILES_H_
#define KONTEXT_COMPUTE_CPU_AMX_TILES_H_

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "compute/cpu/amx.h"
#include "compute/cpu/avx512_transpose.h"

namespace kontext::cpu {

constexpr int64_t kAmxSide = 32;   // rows and columns of the sums in registers
constexpr int64_t kAmxHalf = 16;   // of one register
constexpr int64_t kAmxDepth = 32;  // bf16 values of k in a register's row
constexpr int64_t kAmxRegister = kAmxHalf * kAmxRowBytes;

// The sums from and to memory, rows of `stride` floats.
KX_AMX_TARGET inline void AmxZeroSums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}
KX_AMX_TARGET inline void AmxLoadSums(const float* sums, int64_t stride = kAmxSide) {
  const float* below = sums + kAmxHalf * stride;
  _tile_loadd(0, sums, stride * 4);
  _tile_loadd(1, sums + kAmxHalf, stride * 4);
  _tile_loadd(2, below, stride * 4);
  _tile_loadd(3, below + kAmxHalf, stride * 4);
}
KX_AMX_TARGET inline void AmxStoreSums(float* sums, int64_t stride = kAmxSide) {
  float* below = sums + kAmxHalf * stride;
  _tile_stored(0, sums, stride * 4);
  _tile_stored(1, sums + kAmxHalf, stride * 4);
  _tile_stored(2, below, stride * 4);
  _tile_stored(3, below + kAmxHalf, stride * 4);
}

// sums += a by b over `steps` times kAmxDepth of k; a [k/32][32][32] as a row panel has it
// (panels.h), b pairs [k/2][32].
KX_AMX_TARGET inline void AmxMultiply(int64_t steps, const std::byte* a, const uint32_t* b) {
  constexpr int64_t kPairRow = kAmxSide * 4;
  for (int64_t i = 0; i < steps; ++i, a += 2 * kAmxRegister, b += kAmxHalf * kAmxSide) {
    _tile_loadd(4, a, kAmxRowBytes);
    _tile_loadd(6, b, kPairRow);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + kAmxHalf, kPairRow);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + kAmxRegister, kAmxRowBytes);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_AMX_TILES_H_
