#include "compute/cpu/int8_rows.h"

#include <algorithm>
#include <cstring>

#include "compute/cpu/int8_amx.h"
#include "compute/cpu/targets.h"
#include "tensor/convrot.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/int8_rows.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/epilogue-inl.h"
#include "compute/cpu/int8_round-inl.h"
#include "compute/cpu/norm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

// ---- ConvRot: the four passes of RotateGroup (tensor/convrot.h), the same operations in the same
// order, so that every processor rounds alike.

template <class V>
struct Four {
  V v0, v1, v2, v3;
};

template <class D, class V>
HWY_INLINE Four<V> H4(D d, V v0, V v1, V v2, V v3) {
  const V s = hn::Mul(hn::Set(d, 0.5f), hn::Add(hn::Add(v0, v1), hn::Add(v2, v3)));
  return {hn::Sub(s, v3), hn::Sub(s, v2), hn::Sub(s, v1), hn::Sub(s, v0)};
}

// Values that lie `stride` apart, stride at least a vector of D.
template <class D>
HWY_INLINE void Pass(D d, int64_t stride, float* x) {
  for (int64_t block = 0; block < kRotationGroup; block += 4 * stride) {
    for (int64_t i = 0; i < stride; i += static_cast<int64_t>(hn::Lanes(d))) {
      float* a = x + block + i;
      const auto r = H4(d, hn::LoadU(d, a), hn::LoadU(d, a + stride), hn::LoadU(d, a + 2 * stride),
                        hn::LoadU(d, a + 3 * stride));
      hn::StoreU(r.v0, d, a);
      hn::StoreU(r.v1, d, a + stride);
      hn::StoreU(r.v2, d, a + 2 * stride);
      hn::StoreU(r.v3, d, a + 3 * stride);
    }
  }
}

#if HWY_TARGET <= HWY_AVX3
// A group in 16 registers.
HWY_INLINE void Rotate(float* x) {
  const DF d;
  constexpr int64_t kLanes = 16, kVectors = kRotationGroup / kLanes;
  const VF half = hn::Set(d, 0.5f);
  VF v[kVectors];
  HWY_UNROLL(16)
  for (int64_t i = 0; i < kVectors; ++i) {
    const VF u = hn::LoadU(d, x + i * kLanes);
    const VF pairs = hn::Add(u, hn::Shuffle2301(u));
    const VF sum = hn::Mul(half, hn::Add(pairs, hn::Shuffle1032(pairs)));
    const VF w = hn::Sub(sum, hn::Shuffle0123(u));
    const VF blocks = hn::Add(w, hn::SwapAdjacentBlocks(w));
    v[i] = hn::Sub(hn::Mul(half, hn::Add(blocks, hn::ReverseBlocks(d, blocks))),
                   hn::ReverseBlocks(d, w));
  }
  const auto pass = [&](int64_t i, int64_t step) HWY_ATTR {
    const auto r = H4(d, v[i], v[i + step], v[i + 2 * step], v[i + 3 * step]);
    v[i] = r.v0;
    v[i + step] = r.v1;
    v[i + 2 * step] = r.v2;
    v[i + 3 * step] = r.v3;
  };
  HWY_UNROLL(4)
  for (int64_t i = 0; i < kVectors; i += 4) pass(i, 1);
  HWY_UNROLL(4)
  for (int64_t i = 0; i < 4; ++i) pass(i, 4);
  HWY_UNROLL(16)
  for (int64_t i = 0; i < kVectors; ++i) hn::StoreU(v[i], d, x + i * kLanes);
}
#else
HWY_INLINE void Rotate(float* x) {
  const DF d;
  for (int64_t i = 0; i < kRotationGroup; i += 4 * static_cast<int64_t>(hn::Lanes(d))) {
    VF v0, v1, v2, v3;
    hn::LoadInterleaved4(d, x + i, v0, v1, v2, v3);
    const auto r = H4(d, v0, v1, v2, v3);
    hn::StoreInterleaved4(r.v0, r.v1, r.v2, r.v3, d, x + i);
  }
  Pass(hn::Full128<float>(), 4, x);
  Pass(d, 16, x);
  Pass(d, 64, x);
}
#endif

// ---- Quantising.

// Columns [begin, begin + count) of row r of a panel: pieces of columns, with the same columns of
// all rows side by side.
HWY_INLINE void Spread(const int8_t* digits, int64_t begin, int64_t count, int64_t r,
                       const Int8Panel& panel) {
  if (panel.path == Int8Path::kAmx) {
    int8_t* out = panel.q + begin * kInt8AmxRows + r * kInt8AmxDepth;
    for (int64_t k = 0; k < count; k += kInt8AmxDepth, out += kInt8AmxRows * kInt8AmxDepth) {
      std::memcpy(out, digits + k, kInt8AmxDepth);
    }
    return;
  }
  const uint32_t add_128 = panel.path == Int8Path::kMaddubs ? 0 : 0x80808080u;  // to every byte
  int8_t* out = panel.q + begin * kInt8Rows + r * kInt8Depth;
  for (int64_t k = 0; k < count; k += kInt8Depth, out += kInt8Rows * kInt8Depth) {
    uint32_t quad;
    std::memcpy(&quad, digits + k, kInt8Depth);
    quad ^= add_128;
    std::memcpy(out, &quad, kInt8Depth);
  }
}

// Slice by slice, so that all that is done to one is done in the first cache.
void QuantisePanelHere(const Int8Source& rows, float* x, const Int8Panel& panel) {
  const int64_t columns = rows.src.dim(1);
  auto* q = reinterpret_cast<int8_t*>(x + kInt8Slice);
  for (int64_t r = 0; r < panel.rows(); ++r) {
    const bool there = rows.row + r < rows.src.dim(0);
    const InRow from = RowOf(rows.src, there ? (rows.row + r) * rows.src.stride(0) : 0);
    RowMoments moments{};
    if (there && rows.norm != nullptr) moments = MomentsOf(*rows.norm, from, columns);
    for (int64_t begin = 0, at = r; begin < columns; begin += kInt8Slice, at += panel.stride) {
      const int64_t n = HWY_MIN(kInt8Slice, columns - begin);
      const int64_t padded = CeilDiv(n, kRoundAlign) * kRoundAlign;
      RoundedRow slice{0, 0};
      if (there) {
        ByVectors(n, [&](int64_t i, size_t lanes) HWY_ATTR {
          VF v = LoadRow(from, begin + i, lanes);
          if (rows.norm != nullptr) v = Normalized(*rows.norm, moments, v, begin + i, lanes);
          hn::Store(v, DF(), x + i);
        });
        std::fill(x + n, x + padded, 0.0f);
        if (rows.rotation != 1) {
          for (int64_t k = 0; k < n; k += kRotationGroup) Rotate(x + k);
        }
        slice = RoundRow(x, padded, LargestOf<true>(x, padded), q);
      } else {
        std::fill_n(q, padded, int8_t{0});
      }
      panel.scale[at] = slice.scale;
      panel.sums[at] = panel.path == Int8Path::kMaddubs ? 128 * slice.sum : 0;
      Spread(q, begin, n, r, panel);
    }
  }
}

// ---- Finishing.

// Sums [rows][16] of a panel and a block -> a row's as numbers, from feature i on.
HWY_INLINE VF ScaledSums(const Int8Sums& s, int64_t panel, int64_t block, int64_t r, int64_t i) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const int64_t row = panel * s.panel_rows + r;
  const int32_t* sums = s.sums + ((block * s.panels + panel) * s.panel_rows + r) * kInt8Features;
  const auto sum = hn::Sub(hn::LoadU(di, sums + i), hn::Set(di, s.row_sums[row]));
  return hn::Mul(hn::ConvertTo(d, sum), hn::Set(d, s.row_scale[row]));
}

void AddInt8SliceHere(const Int8Sums& s, bool first, float* total) {
  const DF d;
  for (int64_t j = 0; j < s.blocks; ++j) {
    for (int64_t panel = 0; panel < s.panels; ++panel) {
      for (int64_t r = 0; r < s.panel_rows; ++r, total += kInt8Features) {
        ByVectors(kInt8Features, [&](int64_t i, size_t) HWY_ATTR {
          const VF x = ScaledSums(s, panel, j, r, i);
          hn::StoreU(first ? x : hn::Add(hn::LoadU(d, total + i), x), d, total + i);
        });
      }
    }
  }
}

void FinishInt8Here(const Int8Results& p) {
  const DF d;
  const int64_t rows = p.dst.dim(0), columns = p.dst.dim(1);
  for (int64_t row = 0; row < rows; ++row) {
    const OutRow dst = RowOf(p.dst, row * p.dst.stride(0));
    const ConstTensorView& add = p.epilogue.addend;
    const InRow addend =
        add.empty() ? InRow{nullptr, DType::kF32} : RowOf(add, row * add.stride(0));
    const int64_t panel = row / p.last.panel_rows, r = row % p.last.panel_rows;
    for (int64_t j = 0; j < p.last.blocks; ++j) {
      const int64_t first = j * kInt8Features;
      const int64_t at = ((j * p.last.panels + panel) * p.last.panel_rows + r) * kInt8Features;
      ByVectors(HWY_MIN(kInt8Features, columns - first), [&](int64_t i, size_t n) HWY_ATTR {
        const int64_t c = first + i;
        VF x = ScaledSums(p.last, panel, j, r, i);
        if (p.total != nullptr) x = hn::Add(hn::LoadU(d, p.total + at + i), x);
        x = hn::Mul(x, LoadRow({p.scale, DType::kF32}, c, n));
        if (!p.branches.empty()) {
          x = hn::Add(x, LoadRow(RowOf(p.branches, row * p.branches.stride(0)), c, n));
        }
        StoreRow(Finished(p.epilogue, x, addend, c, n), dst, c, n);
      });
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kontext::cpu {

HWY_EXPORT(QuantisePanelHere);
HWY_EXPORT(AddInt8SliceHere);
HWY_EXPORT(FinishInt8Here);

void QuantisePanel(const Int8Source& rows, float* scratch, const Int8Panel& panel) {
  HWY_DYNAMIC_DISPATCH(QuantisePanelHere)(rows, scratch, panel);
}
void AddInt8Slice(const Int8Sums& slice, bool first, float* total) {
  HWY_DYNAMIC_DISPATCH(AddInt8SliceHere)(slice, first, total);
}
void FinishInt8(const Int8Results& results) { HWY_DYNAMIC_DISPATCH(FinishInt8Here)(results); }

}  // namespace kontext::cpu
#endif  // HWY_ONCE
