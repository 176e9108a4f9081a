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
#include "tensor/view.h"

namespace kontext::cpu {

constexpr int64_t kAmxSide = 32;   // rows and columns of the sums in registers
constexpr int64_t kAmxHalf = 16;   // of one register
constexpr int64_t kAmxDepth = 32;  // bf16 values of k in a register's row
constexpr int64_t kAmxRegister = kAmxHalf * kAmxRowBytes;
// Of a column panel of AmxPanels() (panels.h): its columns, and its bytes for kAmxDepth of k.
constexpr int64_t kAmxPanelColumns = 2 * kAmxSide;
constexpr int64_t kAmxColumnStep = 4 * kAmxRegister;

// The sums begin as zeros, or as what is in memory, in rows of `stride` floats.
KX_AMX_TARGET inline void AmxZeroSums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}
KX_AMX_TARGET inline void AmxLoadSums(const float* sums, int64_t stride) {
  const float* below = sums + kAmxHalf * stride;
  _tile_loadd(0, sums, stride * 4);
  _tile_loadd(1, sums + kAmxHalf, stride * 4);
  _tile_loadd(2, below, stride * 4);
  _tile_loadd(3, below + kAmxHalf, stride * 4);
}
KX_AMX_TARGET inline void AmxStoreSums(float* sums, int64_t stride) {
  float* below = sums + kAmxHalf * stride;
  _tile_stored(0, sums, stride * 4);
  _tile_stored(1, sums + kAmxHalf, stride * 4);
  _tile_stored(2, below, stride * 4);
  _tile_stored(3, below + kAmxHalf, stride * 4);
}

KX_AMX_TARGET inline void AmxBeginSums(bool add, const float* sums, int64_t stride) {
  if (add) {
    AmxLoadSums(sums, stride);
  } else {
    AmxZeroSums();
  }
}

// An operand of bf16: at step i its first register begins at `at + i * step` bytes and the second
// `second` bytes further; a register's rows lie `row` bytes apart.
struct AmxOperand {
  const std::byte* at;
  int64_t row, step, second;
};

// sums += a by b over `steps` times kAmxDepth of k. `soon`: kSoon bytes for each step that are
// asked for from memory meanwhile.
template <int64_t kSoon = 0>
KX_AMX_TARGET inline void AmxMultiply(int64_t steps, AmxOperand a, AmxOperand b,
                                      const std::byte* soon = nullptr) {
  for (int64_t i = 0; i < steps; ++i, a.at += a.step, b.at += b.step) {
    for (int64_t j = 0; j < kSoon; j += 64) _mm_prefetch(soon + i * kSoon + j, _MM_HINT_T1);
    _tile_loadd(4, a.at, a.row);
    _tile_loadd(6, b.at, b.row);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b.at + b.second, b.row);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a.at + a.second, a.row);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

// Rows as a row panel of AmxPanels() has them, [k/32][32][32].
inline AmxOperand AmxRowPanel(const std::byte* a) {
  return {a, kAmxRowBytes, 2 * kAmxRegister, kAmxRegister};
}
// The first or second half of the columns of its column panel, [k/32][4][16][16][2].
inline AmxOperand AmxColumnPanel(const std::byte* b, int64_t half) {
  return {b + half * 2 * kAmxRegister, kAmxRowBytes, kAmxColumnStep, kAmxRegister};
}
// Pairs of k side by side, [k/2][32][2].
inline AmxOperand AmxPairs(const uint32_t* b) {
  constexpr int64_t kRow = kAmxSide * SizeOf(DType::kF32);
  return {reinterpret_cast<const std::byte*>(b), kRow, kAmxHalf * kRow, kRow / 2};
}

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_AMX_TILES_H_
