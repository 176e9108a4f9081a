// The streaming softmax between two products in bf16, of queries in lanes, and what becomes of its
// results, for processors with AVX-512 BF16.
#ifndef KONTEXT_COMPUTE_CPU_BF16_SOFTMAX_H_
#define KONTEXT_COMPUTE_CPU_BF16_SOFTMAX_H_

#include <immintrin.h>

#include <cstdint>

#include "base/bf16.h"
#include "compute/cpu/avx512_transpose.h"
#include "tensor/view.h"

// What the inner functions need; PlanFor chooses them only where the processor has it.
#define KX_BF16_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace kontext::cpu {

constexpr int64_t kBf16Lanes = 16;

// What a thread knows of a panel of `columns` queries.
struct Bf16Panel {
  uint32_t* q;  // [Dh/2][columns] pairs of channels
  float* out;   // O^T [Dh][columns], not yet divided by `sum`
  float* max;   // [columns], whole numbers: what scores times `scale` are relative to
  float* sum;   // [columns]
};

// 2^x, rounded to bf16. The cubic through 1 is within 8.6e-5 of 2^f on [0, 1), a 45th of what the
// rounding may do; 1.5 * 2^16 added in its last term rounds to multiples of 2^-7, which in [1, 2]
// are bf16's.
KX_BF16_TARGET inline __m512 Bf16Exp2(__m512 x) {
  constexpr float kMagic = 0x1.8p16f;
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_set1_ps(7.7067054e-2f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.2764498e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.9511682e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kMagic + 1.0f));
  return _mm512_scalef_ps(_mm512_sub_ps(p, _mm512_set1_ps(kMagic)), x);
}

// Of the probabilities of 16 queries.
struct Bf16Sums {
  __m512 sum;
  __m512i most;  // of either key of the pairs, as bits
};
KX_BF16_TARGET inline Bf16Sums Bf16NoSums() {
  return {_mm512_setzero_ps(), _mm512_setzero_si512()};
}

// Two vectors of numbers that are bf16's, side by side.
KX_BF16_TARGET inline __m512i Bf16Pair(__m512 even, __m512 odd) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  constexpr int kSelect = 0xca;  // the second operand's bits where the first is 1, else the third's
  return _mm512_ternarylogic_epi32(upper, _mm512_castps_si512(odd),
                                   _mm512_srli_epi32(_mm512_castps_si512(even), 16), kSelect);
}

// scores [count][kColumns] of 16 queries and an even number of keys, times `factor` and relative to
// `max` -> pairs [count/2][kColumns] of probabilities.
template <int64_t kColumns>
KX_BF16_TARGET inline void Bf16Probabilities(const float* scores, int64_t count, __m512 factor,
                                             __m512 max, uint32_t* pairs, Bf16Sums& sums) {
  for (int64_t j = 0; j < count; j += 2, scores += 2 * kColumns, pairs += kColumns) {
    const __m512 even = Bf16Exp2(_mm512_fmsub_ps(_mm512_load_ps(scores), factor, max));
    const __m512 odd = Bf16Exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + kColumns), factor, max));
    const __m512i pair = Bf16Pair(even, odd);
    sums.sum = _mm512_add_ps(sums.sum, _mm512_add_ps(even, odd));
    sums.most = _mm512_max_epu16(sums.most, pair);
    _mm512_store_si512(pairs, pair);
  }
}

// scores [count][kColumns] -> pairs [count/2 rounded up][kColumns] of keys' probabilities relative
// to the running maximum, times `scale` before; max and sum follow, `shrink` is what they shrink
// by, a power of two.
template <int64_t kColumns>
KX_BF16_TARGET void Bf16Softmax(const float* scores, int64_t count, float scale, const Bf16Panel& p,
                                float* shrink, uint32_t* pairs) {
  const __m512 factor = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < kColumns; i += kBf16Lanes) {
    const float* s = scores + i;
    // Four at a time: one waits for its predecessor. A NaN score is passed over here and met below.
    __m512 highest[4];
    for (__m512& h : highest) h = _mm512_load_ps(s);
    int64_t j = 0;
    for (; j + 4 <= count; j += 4) {
      for (int64_t l = 0; l < 4; ++l) {
        highest[l] = _mm512_max_ps(_mm512_load_ps(s + (j + l) * kColumns), highest[l]);
      }
    }
    for (; j < count; ++j) highest[0] = _mm512_max_ps(_mm512_load_ps(s + j * kColumns), highest[0]);
    const __m512 largest =
        _mm512_max_ps(_mm512_max_ps(highest[0], highest[1]), _mm512_max_ps(highest[2], highest[3]));
    const __m512 before = _mm512_load_ps(p.max + i);
    const __m512 above = _mm512_roundscale_ps(_mm512_mul_ps(largest, factor),
                                              _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    const __m512 max = _mm512_max_ps(above, before);
    Bf16Sums sums = Bf16NoSums();
    const int64_t even = count / 2 * 2;
    Bf16Probabilities<kColumns>(s, even, factor, max, pairs + i, sums);
    if (even < count) {
      const __m512 last =
          Bf16Exp2(_mm512_fmsub_ps(_mm512_load_ps(s + even * kColumns), factor, max));
      sums.sum = _mm512_add_ps(sums.sum, last);
      _mm512_store_si512(pairs + even / 2 * kColumns + i, Bf16Pair(last, _mm512_setzero_ps()));
    }
    const __m512 less = _mm512_scalef_ps(_mm512_set1_ps(1.0f), _mm512_sub_ps(before, max));
    _mm512_store_ps(shrink + i, less);
    _mm512_store_ps(p.max + i, max);
    _mm512_store_ps(p.sum + i, _mm512_fmadd_ps(_mm512_load_ps(p.sum + i), less, sums.sum));
  }
}

// Channels [e, e + 16) of the first `count` (at most 16) queries of O^T `out` [..][columns],
// divided by their sums, to rows of dst from `row` on and columns from `column` on.
KX_BF16_TARGET inline void StoreBf16Square(const float* out, int64_t columns, const float* sum,
                                           int64_t count, const TensorView& dst, int64_t row,
                                           int64_t column) {
  __m512i square[kBf16Lanes];
  for (int64_t e = 0; e < kBf16Lanes; ++e) square[e] = _mm512_loadu_si512(out + e * columns);
  Transpose16(square);
  for (int64_t i = 0; i < count; ++i) {
    const __m512 x = _mm512_div_ps(_mm512_castsi512_ps(square[i]), _mm512_set1_ps(sum[i]));
    const int64_t at = (row + i) * dst.stride(0) + column;
    if (dst.dtype() == DType::kBF16) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst.As<BF16>() + at),
                          reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
    } else {
      _mm512_storeu_ps(dst.As<float>() + at, x);
    }
  }
}

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_BF16_SOFTMAX_H_
