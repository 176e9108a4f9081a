// Panels of bf16 for AMX.
#include <immintrin.h>

#include <algorithm>

#include "compute/cpu/amx_tiles.h"
#include "compute/cpu/panels.h"

namespace kontext::cpu {
namespace {

constexpr int64_t kRows = kAmxSide, kColumns = kAmxPanelColumns;  // of the panels
constexpr int64_t kRowStep = 2 * kAmxRegister;  // of a row panel, for kAmxDepth of k
constexpr int64_t kBlockRows = 128;
// A column panel over so many k (32 KiB) stays in the first cache while the rows of a block pass.
constexpr int64_t kPass = 256;
// The next pass's columns are on their way from memory: so much of them for each step of each tile,
// that all have come when a whole block of rows has passed.
constexpr int64_t kSoon = kAmxColumnStep * kAmxSide / kBlockRows / 2;

// n (at most 32) values as bf16, zeros after them.
KX_AMX_TARGET inline __m512i Load(const void* from, DType dtype, int64_t n) {
  const auto some = static_cast<__mmask32>(n >= kAmxDepth ? ~0u : (1u << n) - 1);
  const auto low = static_cast<__mmask16>(some), high = static_cast<__mmask16>(some >> kAmxHalf);
  if (dtype == DType::kBF16) return _mm512_maskz_loadu_epi16(some, from);
  __m512 first, second;
  if (dtype == DType::kF32) {
    const auto* f = static_cast<const float*>(from);
    first = _mm512_maskz_loadu_ps(low, f);
    second = _mm512_maskz_loadu_ps(high, f + kAmxHalf);
  } else {
    const auto* f = static_cast<const uint16_t*>(from);
    first = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(low, f));
    second = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(high, f + kAmxHalf));
  }
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
}

class AmxKernel : public PanelKernel {
 public:
  AmxKernel()
      : PanelKernel({.rows = kRows,
                     .columns = kColumns,
                     .granule = kAmxDepth,
                     .slice = 3072,  // a block of rows takes 0.75 MiB of the second cache
                     .block_rows = kBlockRows,
                     .value_bytes = SizeOf(DType::kBF16)}) {}

  KX_AMX_TARGET void PackRows(const void* const* rows, DType dtype, int64_t at, int64_t count,
                              int64_t k, std::byte* panel) const override {
    const int64_t padded = at + count == k ? RoundUp(k, kAmxDepth) - at : count;
    for (int64_t i = 0; i < padded;) {  // rows inside: the panel is written from front to back
      const int64_t within = (at + i) % kAmxDepth, n = std::min(kAmxDepth - within, padded - i);
      std::byte* to = panel + (at + i) / kAmxDepth * kRowStep + within * SizeOf(DType::kBF16);
      const auto some = static_cast<__mmask32>((uint64_t{1} << n) - 1);
      for (int64_t r = 0; r < kRows; ++r) {
        const auto* row = static_cast<const std::byte*>(rows[r]);
        const __m512i values = row != nullptr && i < count
                                   ? Load(row + i * SizeOf(dtype), dtype, std::min(n, count - i))
                                   : _mm512_setzero_si512();
        _mm512_mask_storeu_epi16(to + r * kAmxRowBytes, some, values);
      }
      i += n;
    }
  }

  KX_AMX_TARGET void PackColumns(const void* const* rows, DType dtype, int64_t at, int64_t count,
                                 std::byte* panel) const override {
    std::byte* to = panel + at / kAmxDepth * kAmxColumnStep;
    for (int64_t i = 0; i < count; i += kAmxDepth) {
      for (int64_t first = 0; first < kColumns; first += kAmxHalf) {
        __m512i values[kAmxHalf];
        for (int64_t c = 0; c < kAmxHalf; ++c) {
          const auto* row = static_cast<const std::byte*>(rows[first + c]);
          values[c] = row != nullptr
                          ? Load(row + i * SizeOf(dtype), dtype, std::min(kAmxDepth, count - i))
                          : _mm512_setzero_si512();
        }
        Transpose16(values);
        for (const __m512i& pair : values) {
          _mm512_store_si512(to, pair);
          to += kAmxRowBytes;
        }
      }
    }
  }

  KX_AMX_TARGET void Compute(const ProductBlock& p) const override {
    alignas(64) float local[kBlockRows * kColumns];
    const AmxRegisters registers;
    const int64_t steps = CeilDiv(p.k, kAmxDepth);
    for (int64_t column = 0; column < p.columns; column += kColumns) {
      const std::byte* b = p.b + column / kColumns * steps * kAmxColumnStep;
      float* tiles = p.first && p.last ? local : p.sums + column / kColumns * p.sums_stride;
      for (int64_t step = 0; step < steps; step += kPass / kAmxDepth) {
        const int64_t count = std::min(kPass / kAmxDepth, steps - step);
        const std::byte* soon = b + (step + count) * kAmxColumnStep;
        for (int64_t row = 0; row < p.rows; row += kRows) {
          const std::byte* a = p.a + (row / kRows * steps + step) * kRowStep;
          for (int64_t side = 0; side < 2; ++side, soon += count * kSoon) {
            float* tile = tiles + row * kColumns + side * kAmxSide;
            AmxBeginSums(!p.first || step > 0, tile, kColumns);
            AmxMultiply<kSoon>(count, AmxRowPanel(a),
                               AmxColumnPanel(b + step * kAmxColumnStep, side), soon);
            AmxStoreSums(tile, kColumns);
          }
        }
      }
      if (!p.last) continue;
      for (int64_t row = 0; row < p.rows; row += kRows) {
        FinishTile(p, {tiles + row * kColumns, kRows, kColumns}, row, column);
      }
    }
  }
};

}  // namespace

const PanelKernel& AmxPanels() {
  static const AmxKernel kernel;
  return kernel;
}

}  // namespace kontext::cpu
