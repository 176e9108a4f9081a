#include "compute/cpu/bf16_attention.h"

#include <hwy/base.h>
#include <immintrin.h>

#include <cstring>

#include "compute/cpu/amx_attention.h"
#include "compute/cpu/bf16_attention_run.h"

namespace kontext::cpu {
namespace {

constexpr int64_t kRows = 8;      // keys, or channels of V, of a row panel
constexpr int64_t kColumns = 48;  // queries of a column panel: three registers

// tile[r][c] = shrink[c] * tile[r][c] + sum_p a[p][r] . b[p][c], 8 rows by 48 columns; a and b hold
// pairs of bf16, . adds the two products of a pair. Without shrink: overwrites. The loops on
// registers are unrolled whole: 24 sums stay in 24 of 32.
KX_BF16_TARGET void Tile(int64_t pairs, const uint32_t* a, const uint32_t* b, const float* shrink,
                         float* tile) {
  __m512 c[kRows][3];
  HWY_UNROLL(8)
  for (int64_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (int64_t j = 0; j < 3; ++j) {
      c[r][j] = shrink == nullptr
                    ? _mm512_setzero_ps()
                    : _mm512_mul_ps(_mm512_load_ps(shrink + j * kBf16Lanes),
                                    _mm512_load_ps(tile + r * kColumns + j * kBf16Lanes));
    }
  }
  for (int64_t p = 0; p < pairs; ++p, a += kRows, b += kColumns) {
    __m512bh w[3];
    HWY_UNROLL(8)
    for (int64_t j = 0; j < 3; ++j) {
      w[j] = reinterpret_cast<__m512bh>(_mm512_load_si512(b + j * kBf16Lanes));
    }
    HWY_UNROLL(8)
    for (int64_t r = 0; r < kRows; ++r) {
      const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int32_t>(a[r])));
      HWY_UNROLL(8)
      for (int64_t j = 0; j < 3; ++j) c[r][j] = _mm512_dpbf16_ps(c[r][j], w[j], x);
    }
  }
  HWY_UNROLL(8)
  for (int64_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(8)
    for (int64_t j = 0; j < 3; ++j) _mm512_store_ps(tile + r * kColumns + j * kBf16Lanes, c[r][j]);
  }
}

// dst[p][i] = the p-th pair of numbers of row i, i < `width`; rows from `count` on are zeros.
void PackPairs(const ConstTensorView& rows, int64_t first, int64_t count, int64_t width,
               uint32_t* dst) {
  const int64_t pairs = rows.dim(1) / 2;
  for (int64_t i = 0; i < width; ++i) {
    const BF16* row = i < count ? rows.As<BF16>() + (first + i) * rows.stride(0) : nullptr;
    for (int64_t p = 0; p < pairs; ++p) {
      uint32_t pair = 0;
      if (row != nullptr) std::memcpy(&pair, row + 2 * p, sizeof(pair));
      dst[p * width + i] = pair;
    }
  }
}

// dst[j/2][r] = channel `e` + r of the values of keys j and j + 1, r < 8; after the last key zeros.
void PackValues(const ConstTensorView& v, int64_t begin, int64_t end, int64_t e, uint32_t* dst) {
  for (int64_t j = begin; j < end; j += 2, dst += kRows) {
    const BF16* even = v.As<BF16>() + j * v.stride(0) + e;
    const BF16* odd = j + 1 < v.dim(0) ? even + v.stride(0) : nullptr;
    for (int64_t r = 0; r < kRows; ++r) {
      dst[r] = even[r].bits | (odd != nullptr ? static_cast<uint32_t>(odd[r].bits) << 16 : 0u);
    }
  }
}

struct Avx512 {
  static constexpr int64_t kColumns = cpu::kColumns, kBlock = 128, kDepth = 2;
  struct Registers {};

  // Packed keys [Tk/8][Dh/2][8], values [Dh/8][Tk/2][8], in pairs.
  static int64_t KeyBytes(int64_t keys, int64_t channels) {
    return RoundUp(keys, kRows) * channels * 2;
  }
  static int64_t ValueBytes(int64_t keys, int64_t channels) {
    return RoundUp(keys, kDepth) * channels * 2;
  }
  static void PackKeys(const ConstTensorView& k, int64_t begin, int64_t end, std::byte* packed) {
    for (int64_t j = begin; j < end; j += kRows) {
      PackPairs(k, j, end - j, kRows, Pairs(packed) + j * k.dim(1) / 2);
    }
  }
  static void PackValues(const ConstTensorView& v, int64_t begin, int64_t end, std::byte* packed) {
    const int64_t pairs = RoundUp(v.dim(0), kDepth) / 2;
    for (int64_t e = 0; e < v.dim(1); e += kRows) {
      cpu::PackValues(v, begin, end, e, Pairs(packed) + e * pairs + begin / 2 * kRows);
    }
  }
  static void PackQueries(const ConstTensorView& q, int64_t first, int64_t count, uint32_t* dst) {
    PackPairs(q, first, count, kColumns, dst);
  }
  static bool Probabilities(const std::byte* keys, int64_t key, int64_t count, int64_t channels,
                            float scale, const Bf16Panel& p, float* scores, float* shrink,
                            uint32_t* pairs) {
    for (int64_t j = 0; j < count; j += kRows) {
      Tile(channels / 2, Pairs(keys) + (key + j) * channels / 2, p.q, nullptr,
           scores + j * kColumns);
    }
    Bf16Softmax<kColumns>(scores, count, scale, p, shrink, pairs);
    return true;
  }
  static void AddValues(const std::byte* values, int64_t keys, int64_t key, int64_t count,
                        int64_t channels, const uint32_t* pairs, const float* shrink, float* out) {
    const int64_t all = RoundUp(keys, kDepth) / 2;
    for (int64_t e = 0; e < channels; e += kRows) {
      Tile(CeilDiv(count, int64_t{2}), Pairs(values) + e * all + key / 2 * kRows, pairs, shrink,
           out + e * kColumns);
    }
  }

 private:
  static uint32_t* Pairs(std::byte* packed) { return reinterpret_cast<uint32_t*>(packed); }
  static const uint32_t* Pairs(const std::byte* packed) {
    return reinterpret_cast<const uint32_t*>(packed);
  }
};

}  // namespace

bool Bf16AttentionTakes(const ConstTensorView& q, const ConstTensorView& k,
                        const ConstTensorView& v, const AttentionOptions& o) {
  const auto is_bf16 = [](const ConstTensorView& x) { return x.dtype() == DType::kBF16; };
  return is_bf16(q) && is_bf16(k) && is_bf16(v) && o.relative_bias.empty() && !o.causal &&
         o.scale > 0 && q.dim(2) % kBf16Lanes == 0;
}

Status AttendBf16(bool amx, ConstTensorView q, ConstTensorView k, ConstTensorView v,
                  const AttentionOptions& o, TensorView dst, Workspace& space) {
  if (amx) return AttendAmx(q, k, v, o, dst, space);
  return Bf16AttentionRun<Avx512>(q, k, v, o.scale, dst).Execute(space);
}

void Bf16AttentionSlots(bool amx, int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                        SlotBytes& bytes) {
  if (amx && AmxAttentionTakes(channels)) {
    return AmxAttentionSlots(heads, queries, keys, channels, bytes);
  }
  Bf16AttentionRun<Avx512>::Slots(heads, queries, keys, channels, bytes);
}

}  // namespace kontext::cpu
