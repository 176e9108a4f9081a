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

int32_t QuadAt(const int8_t* a, int64_t row) {
  int32_t quad;
  std::memcpy(&quad, a + row * kInt8Depth, sizeof(quad));
  return quad;
}

// Six rows by `kBlocks` feature blocks of one register each: 24 sums of 32 registers.
template <int kBlocks>
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) void TileAvx512(
    const Int8Tiles& t, const int8_t* a, const int8_t* b, int32_t* sums, int64_t sums_stride) {
  const __m512i flip = _mm512_set1_epi8(-128);
  __m512i c[kInt8Rows][kBlocks];
  HWY_UNROLL(8)
  for (auto& row : c) {
    HWY_UNROLL(8)
    for (auto& sum : row) sum = _mm512_setzero_si512();
  }
  for (int64_t i = 0; i < t.quads; ++i) {
    __m512i w[kBlocks];
    HWY_UNROLL(8)
    for (int j = 0; j < kBlocks; ++j) {
      w[j] = _mm512_xor_si512(_mm512_loadu_si512(b + j * t.b_stride), flip);
    }
    HWY_UNROLL(8)
    for (int64_t r = 0; r < kInt8Rows; ++r) {
      const __m512i x = _mm512_set1_epi32(QuadAt(a, r));
      HWY_UNROLL(8)
      for (int j = 0; j < kBlocks; ++j) c[r][j] = _mm512_dpbusd_epi32(c[r][j], w[j], x);
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

__attribute__((target("avx2,avxvnni"))) void TileAvx(const Int8Tiles& t, const int8_t* a,
                                                     const int8_t* b, int32_t* sums) {
  const __m256i flip = _mm256_set1_epi8(-128);
  const auto at = [](auto* p) { return reinterpret_cast<__m256i*>(p); };
  const auto in = [](const auto* p) { return reinterpret_cast<const __m256i*>(p); };
  __m256i c[kInt8Rows][2];
  HWY_UNROLL(8)
  for (auto& row : c) row[0] = row[1] = _mm256_setzero_si256();
  for (int64_t i = 0; i < t.quads; ++i) {
    const __m256i w0 = _mm256_xor_si256(_mm256_loadu_si256(in(b)), flip);
    const __m256i w1 = _mm256_xor_si256(_mm256_loadu_si256(in(b + 32)), flip);
    HWY_UNROLL(8)
    for (int64_t r = 0; r < kInt8Rows; ++r) {
      const __m256i x = _mm256_set1_epi32(QuadAt(a, r));
      c[r][0] = _mm256_dpbusd_avx_epi32(c[r][0], w0, x);
      c[r][1] = _mm256_dpbusd_avx_epi32(c[r][1], w1, x);
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

}  // namespace

void ComputeTilesAvxVnni(const Int8Tiles& t) {
  for (int64_t j = 0; j < t.blocks; ++j) {
    for (int64_t i = 0; i < t.panels; ++i) {
      TileAvx(t, t.a + i * t.a_stride, t.b + j * t.b_stride,
              t.sums + (j * t.panels + i) * kTileSums);
    }
  }
}

void ComputeTilesAvx512Vnni(const Int8Tiles& t) {
  const int64_t stride = t.panels * kTileSums;
  int64_t j = 0;
  for (; j + 4 <= t.blocks; j += 4) {
    for (int64_t i = 0; i < t.panels; ++i) {
      TileAvx512<4>(t, t.a + i * t.a_stride, t.b + j * t.b_stride,
                    t.sums + j * stride + i * kTileSums, stride);
    }
  }
  for (; j < t.blocks; ++j) {
    for (int64_t i = 0; i < t.panels; ++i) {
      TileAvx512<1>(t, t.a + i * t.a_stride, t.b + j * t.b_stride,
                    t.sums + j * stride + i * kTileSums, stride);
    }
  }
}

}  // namespace kontext::cpu
#endif
