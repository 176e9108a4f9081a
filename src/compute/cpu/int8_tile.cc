#include "compute/cpu/int8_tile.h"

#include <cstring>

#include "compute/cpu/int8_amx.h"
#include "compute/cpu/int8_vnni.h"
#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/int8_tile.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors of at most 32 bytes: 8 features each, or 4.
using DI32 = hn::CappedTag<int32_t, 8>;
using DI8 = hn::Repartition<int8_t, DI32>;
using DI16 = hn::Repartition<int16_t, DI32>;
using VI32 = hn::Vec<DI32>;

// sum + x0 w0 + .. + x3 w3 in every 32-bit lane; w unsigned. Pairs stay below 2^15: see the header.
HWY_INLINE VI32 Dot4(hn::Vec<DI8> w, VI32 x, VI32 sum) {
#if HWY_TARGET == HWY_SSE4
  const __m128i pairs = _mm_maddubs_epi16(w.raw, x.raw);
  return hn::Add(sum, VI32{_mm_madd_epi16(pairs, _mm_set1_epi16(1))});
#else
  const __m256i pairs = _mm256_maddubs_epi16(w.raw, x.raw);
  return hn::Add(sum, VI32{_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))});
#endif
}

// Six rows by two vectors of features, `b` at the first of them. 12 sums, 2 vectors of weights and
// a broadcast of activations: 15 of 16 registers, 3 operations per 4 vectors' worth of bytes.
template <bool kUnsignedB>
HWY_INLINE void Tile(int64_t quads, const int8_t* HWY_RESTRICT a, const int8_t* HWY_RESTRICT b,
                     int32_t* HWY_RESTRICT sums) {
  const DI32 d;
  const DI8 d8;
  constexpr size_t n = hn::MaxLanes(DI32());
  const auto flip = hn::Set(d8, int8_t{-128});
  VI32 c[kInt8Rows][2];
  HWY_UNROLL(6)
  for (auto& row : c) row[0] = row[1] = hn::Zero(d);
  for (int64_t i = 0; i < quads; ++i) {
    auto b0 = hn::LoadU(d8, b), b1 = hn::LoadU(d8, b + 4 * n);
    if constexpr (!kUnsignedB) {
      b0 = hn::Xor(b0, flip);
      b1 = hn::Xor(b1, flip);
    }
    HWY_UNROLL(6)
    for (int64_t r = 0; r < kInt8Rows; ++r) {
      int32_t quad;
      std::memcpy(&quad, a + r * kInt8Depth, sizeof(quad));
      const VI32 x = hn::Set(d, quad);
      c[r][0] = Dot4(b0, x, c[r][0]);
      c[r][1] = Dot4(b1, x, c[r][1]);
    }
    a += kInt8Rows * kInt8Depth;
    b += kInt8Features * kInt8Depth;
  }
  HWY_UNROLL(6)
  for (int64_t r = 0; r < kInt8Rows; ++r) {
    int32_t* out = sums + r * kInt8Features;
    hn::StoreU(c[r][0], d, out);
    hn::StoreU(c[r][1], d, out + n);
  }
}

// Feature blocks outside: one stays in the caches while the row panels pass.
template <bool kUnsignedB>
HWY_INLINE void ComputeTiles(const Int8Tiles& t) {
  constexpr int64_t n = 2 * static_cast<int64_t>(hn::MaxLanes(DI32()));  // features of a Tile
  int32_t* sums = t.sums;
  for (int64_t j = 0; j < t.blocks; ++j) {
    for (int64_t i = 0; i < t.panels; ++i, sums += kInt8Rows * kInt8Features) {
      const int8_t* a = t.a + i * t.a_stride;
      const int8_t* b = t.b + j * t.b_stride;
      for (int64_t f = 0; f < kInt8Features; f += n) {
        Tile<kUnsignedB>(t.quads, a, b + f * kInt8Depth, sums + f);
      }
    }
  }
}

void ComputeTilesHere(const Int8Tiles& t) {
  return t.unsigned_b ? ComputeTiles<true>(t) : ComputeTiles<false>(t);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kontext::cpu {

HWY_EXPORT(ComputeTilesHere);

void ComputeInt8Tiles(Int8Path path, const Int8Tiles& tiles) {
  switch (path) {
    case Int8Path::kMaddubs:
      return HWY_DYNAMIC_DISPATCH(ComputeTilesHere)(tiles);
    case Int8Path::kAvxVnni:
      return ComputeTilesAvxVnni(tiles);
    case Int8Path::kAvx512Vnni:
      return ComputeTilesAvx512Vnni(tiles);
    case Int8Path::kAmx:
      return ComputeTilesAmx(tiles);
  }
}

}  // namespace kontext::cpu
#endif  // HWY_ONCE
