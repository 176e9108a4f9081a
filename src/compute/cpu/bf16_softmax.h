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
  float* max;   // [columns], of the scores times `scale`
  float* sum;   // [columns]
};

// Where the 16 numbers of one vector, then of another, come to lie: side by side.
alignas(64) constexpr uint16_t kSideBySide[2 * kBf16Lanes] = {
    0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
    8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

// 2^x for x <= 0. The polynomial interpolates 2^f on [0, 1) at five Chebyshev nodes, relative error
// 3.5e-6: what counts is the rounding to bf16 that follows.
KX_BF16_TARGET inline __m512 Bf16Exp2(__m512 x) {
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_set1_ps(1.36703095e-2f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.17449978e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.41604357e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.92972922e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.00000349f));
  return _mm512_scalef_ps(p, x);
}

// scores [count][kColumns] -> pairs [count/2 rounded up][kColumns] of keys' probabilities relative
// to the running maximum, times `scale` before; max and sum follow, `shrink` is what they shrink
// by.
template <int64_t kColumns>
KX_BF16_TARGET void Bf16Softmax(const float* scores, int64_t count, float scale, const Bf16Panel& p,
                                float* shrink, uint32_t* pairs) {
  const __m512 factor = _mm512_set1_ps(scale);
  const __m512i turned = _mm512_load_si512(kSideBySide);
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
    const __m512 max = _mm512_max_ps(_mm512_mul_ps(largest, factor), before);
    const auto probability = [&](int64_t key) KX_BF16_TARGET {
      return Bf16Exp2(_mm512_fmsub_ps(_mm512_load_ps(s + key * kColumns), factor, max));
    };
    const auto store = [&](int64_t key, __m512 even, __m512 odd) KX_BF16_TARGET {
      // cvtne2ps gives 16 numbers of one, then of the other; they come to lie side by side.
      const __m512i rounded = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
      _mm512_store_si512(pairs + key / 2 * kColumns + i, _mm512_permutexvar_epi16(turned, rounded));
    };
    __m512 sum = _mm512_setzero_ps();
    for (j = 0; j + 2 <= count; j += 2) {
      const __m512 even = probability(j), odd = probability(j + 1);
      sum = _mm512_add_ps(sum, _mm512_add_ps(even, odd));
      store(j, even, odd);
    }
    if (j < count) {
      const __m512 even = probability(j);
      sum = _mm512_add_ps(sum, even);
      store(j, even, _mm512_setzero_ps());
    }
    const __m512 less = Bf16Exp2(_mm512_sub_ps(before, max));
    _mm512_store_ps(shrink + i, less);
    _mm512_store_ps(p.max + i, max);
    _mm512_store_ps(p.sum + i, _mm512_fmadd_ps(_mm512_load_ps(p.sum + i), less, sum));
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
