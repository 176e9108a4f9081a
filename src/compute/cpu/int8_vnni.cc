// The tiles of processors with VNNI; which of them have been run, and how fast, is in SPEED.md.
// Elsewhere than on x86 nothing calls them. Loops on registers are unrolled whole, or the sums
// would lie in memory.
#include "compute/cpu/int8_vnni.h"

#include <cstring>

#if defined(__x86_64__)
#include <hwy/base.h>
#include <immintrin.h>

namespace kontext::cpu {
namespace {

constexpr int64_t kTileSums = kInt8Rows * kInt8Features;

#define KX_AVX512_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define KX_AVX_TARGET __attribute__((target("avx2,avxvnni")))

int32_t QuadAt(const int8_t* a, int64_t row) {
  int32_t quad;
  std::memcpy(&quad, a + row * kInt8Depth, sizeof(quad));
  return quad;
}

// Four bytes of b by four of a in every lane, one of them unsigned, added to c.
template <bool kUnsignedB>
KX_AVX512_TARGET __m512i Dot4(__m512i c, __m512i b, __m512i a) {
  return kUnsignedB ? _mm512_dpbusd_epi32(c, b, a) : _mm512_dpbusd_epi32(c, a, b);
}
template <bool kUnsignedB>
KX_AVX_TARGET __m256i Dot4(__m256i c, __m256i b, __m256i a) {
  return kUnsignedB ? _mm256_dpbusd_avx_epi32(c, b, a) : _mm256_dpbusd_avx_epi32(c, a, b);
}

// What the sums of a feature block begin at: -128 sum_k b where a is a + 128, else 0.
KX_AVX512_TARGET __m512i StartAvx512(const Int8Tiles& t, const int8_t* b) {
  __m512i sum = _mm512_setzero_si512();
  if (t.unsigned_b) return sum;
  const __m512i all_128 = _mm512_set1_epi8(-128);  // unsigned
  for (int64_t i = 0; i < t.quads; ++i) {
    sum = _mm512_dpbusd_epi32(sum, all_128, _mm512_loadu_si512(b + i * kInt8Features * kInt8Depth));
  }
  return _mm512_sub_epi32(_mm512_setzero_si512(), sum);
}
KX_AVX_TARGET __m256i StartAvx(const Int8Tiles& t, const int8_t* b) {
  __m256i sum = _mm256_setzero_si256();
  if (t.unsigned_b) return sum;
  const __m256i all_128 = _mm256_set1_epi8(-128);  // unsigned
  for (int64_t i = 0; i < t.quads; ++i) {
    const auto* w = reinterpret_cast<const __m256i*>(b + i * kInt8Features * kInt8Depth);
    sum = _mm256_dpbusd_avx_epi32(sum, all_128, _mm256_loadu_si256(w));
  }
  return _mm256_sub_epi32(_mm256_setzero_si256(), sum);
}

// Six rows by `kBlocks` feature blocks of one register each: 24 sums of 32 registers.
template <bool kUnsignedB, int kBlocks>
KX_AVX512_TARGET void TileAvx512(const Int8Tiles& t, const int8_t* a, const int8_t* b,
                                 const __m512i* start, int32_t* sums, int64_t sums_stride) {
  __m512i c[kInt8Rows][kBlocks];
  HWY_UNROLL(8)
  for (auto& row : c) {
    HWY_UNROLL(8)
    for (int j = 0; j < kBlocks; ++j) row[j] = start[j];
  }
  for (int64_t i = 0; i < t.quads; ++i) {
    __m512i w[kBlocks];
    HWY_UNROLL(8)
    for (int j = 0; j < kBlocks; ++j) w[j] = _mm512_loadu_si512(b + j * t.b_stride);
    HWY_UNROLL(8)
    for (int64_t r = 0; r < kInt8Rows; ++r) {
      const __m512i x = _mm512_set1_epi32(QuadAt(a, r));
      HWY_UNROLL(8)
      for (int j = 0; j < kBlocks; ++j) c[r][j] = Dot4<kUnsignedB>(c[r][j], w[j], x);
    }
    a += kInt8Rows * kInt8Depth;
    b += kInt8Features * kInt8Depth;
  }
  HWY_UNROLL(8)
  for (int64_t r = 0; r < kInt8Rows; ++r) {
    HWY_UNROLL(8)
    for (int j = 0; j < kBlocks; ++j) {
      _mm512_storeu_si512(sums + j * sums_stride + r * kInt8Features, c[r][j]);
    }
  }
}

template <bool kUnsignedB>
KX_AVX_TARGET void TileAvx(const Int8Tiles& t, const int8_t* a, const int8_t* b,
                           const __m256i* start, int32_t* sums) {
  const auto at = [](auto* p) { return reinterpret_cast<__m256i*>(p); };
  const auto in = [](const auto* p) { return reinterpret_cast<const __m256i*>(p); };
  __m256i c[kInt8Rows][2];
  HWY_UNROLL(8)
  for (auto& row : c) {
    row[0] = start[0];
    row[1] = start[1];
  }
  for (int64_t i = 0; i < t.quads; ++i) {
    const __m256i w0 = _mm256_loadu_si256(in(b));
    const __m256i w1 = _mm256_loadu_si256(in(b + 32));
    HWY_UNROLL(8)
    for (int64_t r = 0; r < kInt8Rows; ++r) {
      const __m256i x = _mm256_set1_epi32(QuadAt(a, r));
      c[r][0] = Dot4<kUnsignedB>(c[r][0], w0, x);
      c[r][1] = Dot4<kUnsignedB>(c[r][1], w1, x);
    }
    a += kInt8Rows * kInt8Depth;
    b += kInt8Features * kInt8Depth;
  }
  HWY_UNROLL(8)
  for (int64_t r = 0; r < kInt8Rows; ++r) {
    HWY_UNROLL(8)
    for (int64_t j = 0; j < 2; ++j) {
      _mm256_storeu_si256(at(sums + r * kInt8Features + 8 * j), c[r][j]);
    }
  }
}

// `kBlocks` feature blocks from `j` on, all row panels.
template <bool kUnsignedB, int kBlocks>
KX_AVX512_TARGET void PanelsAvx512(const Int8Tiles& t, int64_t j) {
  const int64_t stride = t.panels * kTileSums;
  const int8_t* b = t.b + j * t.b_stride;
  __m512i start[kBlocks];
  for (int k = 0; k < kBlocks; ++k) start[k] = StartAvx512(t, b + k * t.b_stride);
  for (int64_t i = 0; i < t.panels; ++i) {
    TileAvx512<kUnsignedB, kBlocks>(t, t.a + i * t.a_stride, b, start,
                                    t.sums + j * stride + i * kTileSums, stride);
  }
}

template <bool kUnsignedB>
void TilesAvx512(const Int8Tiles& t) {
  int64_t j = 0;
  for (; j + 4 <= t.blocks; j += 4) PanelsAvx512<kUnsignedB, 4>(t, j);
  for (; j + 2 <= t.blocks; j += 2) PanelsAvx512<kUnsignedB, 2>(t, j);
  for (; j < t.blocks; ++j) PanelsAvx512<kUnsignedB, 1>(t, j);
}

template <bool kUnsignedB>
KX_AVX_TARGET void TilesAvx(const Int8Tiles& t) {
  for (int64_t j = 0; j < t.blocks; ++j) {
    const int8_t* b = t.b + j * t.b_stride;
    const __m256i start[2] = {StartAvx(t, b), StartAvx(t, b + 32)};
    for (int64_t i = 0; i < t.panels; ++i) {
      TileAvx<kUnsignedB>(t, t.a + i * t.a_stride, b, start,
                          t.sums + (j * t.panels + i) * kTileSums);
    }
  }
}

}  // namespace

void ComputeTilesAvxVnni(const Int8Tiles& t) {
  return t.unsigned_b ? TilesAvx<true>(t) : TilesAvx<false>(t);
}

void ComputeTilesAvx512Vnni(const Int8Tiles& t) {
  return t.unsigned_b ? TilesAvx512<true>(t) : TilesAvx512<false>(t);
}

}  // namespace kontext::cpu
#endif
