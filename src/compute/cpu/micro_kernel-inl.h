// The one inner loop of all our own matrix products (Linear, attention): a tile of 4 rows and three
// vectors of columns stays in 12 registers while k runs. Included once per Highway target.
#include <hwy/cache_control.h>

#include "compute/cpu/panels.h"
#include "compute/cpu/simd-inl.h"

#if defined(KONTEXT_COMPUTE_CPU_MICRO_KERNEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KONTEXT_COMPUTE_CPU_MICRO_KERNEL_INL_H_
#undef KONTEXT_COMPUTE_CPU_MICRO_KERNEL_INL_H_
#else
#define KONTEXT_COMPUTE_CPU_MICRO_KERNEL_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

// Columns of a panel: 24 on AVX2, 48 on AVX-512.
HWY_INLINE int64_t PanelColumns() { return 3 * static_cast<int64_t>(hn::Lanes(DF())); }

// tile[r][c] (+)= sum_k a[k*4 + r] * b[k*columns + c], rows `stride` floats apart, k >= 1.
// 12 accumulators, 3 vectors of b and a broadcast of a: 16 registers, 7 loads per 12 multiply-adds.
template <bool kAccumulate>
HWY_INLINE void MicroKernel(int64_t k, const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                            float* HWY_RESTRICT tile, int64_t stride) {
  const DF d;
  const size_t n = hn::Lanes(d);
  if constexpr (kAccumulate) {  // asked for now, needed when the loop is done
    for (int64_t r = 0; r < kPanelRows; ++r) {
      hwy::Prefetch(tile + r * stride);
      hwy::Prefetch(tile + r * stride + n);
      hwy::Prefetch(tile + r * stride + 2 * n);
    }
  }
  VF c00 = hn::Zero(d), c01 = c00, c02 = c00, c10 = c00, c11 = c00, c12 = c00;
  VF c20 = c00, c21 = c00, c22 = c00, c30 = c00, c31 = c00, c32 = c00;
  const auto step = [&](size_t i) HWY_ATTR {
    const VF b0 = hn::Load(d, b + 3 * i * n);
    const VF b1 = hn::Load(d, b + 3 * i * n + n);
    const VF b2 = hn::Load(d, b + 3 * i * n + 2 * n);
    VF x = hn::Set(d, a[i * kPanelRows]);
    c00 = hn::MulAdd(x, b0, c00);
    c01 = hn::MulAdd(x, b1, c01);
    c02 = hn::MulAdd(x, b2, c02);
    x = hn::Set(d, a[i * kPanelRows + 1]);
    c10 = hn::MulAdd(x, b0, c10);
    c11 = hn::MulAdd(x, b1, c11);
    c12 = hn::MulAdd(x, b2, c12);
    x = hn::Set(d, a[i * kPanelRows + 2]);
    c20 = hn::MulAdd(x, b0, c20);
    c21 = hn::MulAdd(x, b1, c21);
    c22 = hn::MulAdd(x, b2, c22);
    x = hn::Set(d, a[i * kPanelRows + 3]);
    c30 = hn::MulAdd(x, b0, c30);
    c31 = hn::MulAdd(x, b1, c31);
    c32 = hn::MulAdd(x, b2, c32);
  };
  for (; k >= 4; k -= 4, a += 4 * kPanelRows, b += 4 * 3 * n) {  // unrolled: 10 % (SPEED.md)
    step(0);
    step(1);
    step(2);
    step(3);
  }
  for (; k > 0; --k, a += kPanelRows, b += 3 * n) step(0);
  const auto store = [&](VF v0, VF v1, VF v2) HWY_ATTR {
    if constexpr (kAccumulate) {
      v0 = hn::Add(v0, hn::Load(d, tile));
      v1 = hn::Add(v1, hn::Load(d, tile + n));
      v2 = hn::Add(v2, hn::Load(d, tile + 2 * n));
    }
    hn::Store(v0, d, tile);
    hn::Store(v1, d, tile + n);
    hn::Store(v2, d, tile + 2 * n);
    tile += stride;
  };
  store(c00, c01, c02);
  store(c10, c11, c12);
  store(c20, c21, c22);
  store(c30, c31, c32);
}

// ---- Packing. Rows are given one pointer each, so that they may come from anywhere. ------------

// dst[i*4 + r] = rows[r][i]; a null row is zeros.
template <class T>
HWY_INLINE void PackRowPanel(const T* const* rows, int64_t k, float* HWY_RESTRICT dst) {
  const DF d;
  const int64_t n = static_cast<int64_t>(hn::Lanes(d));
  const auto at = [&](int r, int64_t i)
                      HWY_ATTR { return rows[r] ? LoadF(d, rows[r] + i) : hn::Zero(d); };
  int64_t i = 0;
  for (; i + n <= k; i += n) {
    hn::StoreInterleaved4(at(0, i), at(1, i), at(2, i), at(3, i), d, dst + i * kPanelRows);
  }
  for (; i < k; ++i) {
    for (int r = 0; r < kPanelRows; ++r) {
      dst[i * kPanelRows + r] = rows[r] ? ToFloat(rows[r][i]) : 0.0f;
    }
  }
}

// dst[i*columns + c] = scale * rows[c][i]; a null row is zeros. By blocks of 4 x 4 in 128-bit
// vectors.
template <class T>
HWY_INLINE void PackColumnPanel(const T* const* rows, int64_t k, float scale, int64_t columns,
                                float* HWY_RESTRICT dst) {
  const hn::Full128<float> d;
  const hn::Full128<double> dd;
  const auto factor = hn::Set(d, scale);
  for (int64_t c = 0; c < columns; c += 4) {
    const T* const* r = rows + c;
    const auto at = [&](int j, int64_t i) HWY_ATTR {
      return r[j] ? hn::Mul(LoadF(d, r[j] + i), factor) : hn::Zero(d);
    };
    int64_t i = 0;
    for (; i + 4 <= k; i += 4) {
      const auto v0 = at(0, i), v1 = at(1, i), v2 = at(2, i), v3 = at(3, i);
      const auto lo01 = hn::BitCast(dd, hn::InterleaveLower(d, v0, v1));
      const auto lo23 = hn::BitCast(dd, hn::InterleaveLower(d, v2, v3));
      const auto hi01 = hn::BitCast(dd, hn::InterleaveUpper(d, v0, v1));
      const auto hi23 = hn::BitCast(dd, hn::InterleaveUpper(d, v2, v3));
      float* out = dst + i * columns + c;
      hn::Store(hn::BitCast(d, hn::InterleaveLower(dd, lo01, lo23)), d, out);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(dd, lo01, lo23)), d, out + columns);
      hn::Store(hn::BitCast(d, hn::InterleaveLower(dd, hi01, hi23)), d, out + 2 * columns);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(dd, hi01, hi23)), d, out + 3 * columns);
    }
    for (; i < k; ++i) {
      for (int j = 0; j < 4; ++j) dst[i * columns + c + j] = r[j] ? scale * ToFloat(r[j][i]) : 0.0f;
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#endif  // the toggle
