#include "compute/cpu/int8_heads.h"

#include <algorithm>
#include <cstring>

#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/int8_heads.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/int8_round-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

void PackMeanHere(const ConstTensorView& k, Int8Head& head) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, hn::ScalableTag<double>> df;
  const int64_t keys = k.dim(0), channels = k.dim(1);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  VisitDType(k.dtype(), [&](auto zero) HWY_ATTR {
    using T = decltype(zero);
    for (int64_t e = 0; e < channels; e += lanes) {
      const size_t n = static_cast<size_t>(HWY_MIN(lanes, channels - e));
      auto sum = hn::Zero(d);
      for (int64_t j = 0; j < keys; ++j) {
        const T* row = k.As<T>() + j * k.stride(0) + e;
        const auto x = n == hn::Lanes(d) ? LoadF(df, row) : LoadPart(df, row, n);
        sum = hn::Add(sum, hn::PromoteTo(d, x));
      }
      const auto mean = hn::DemoteTo(df, hn::Div(sum, hn::Set(d, static_cast<double>(keys))));
      StorePart(mean, df, head.mean + e, n);
    }
  });
}

// Keys of a block as rows: k - mean in 8 bits.
void PackKeys(const ConstTensorView& k, int64_t block, float* x, Int8Head& head) {
  const int64_t channels = k.dim(1), padded = CeilDiv(channels, kRoundAlign) * kRoundAlign;
  const int64_t first = block * kInt8AttentionKeys;
  auto* q = reinterpret_cast<int8_t*>(x + padded);
  std::fill(x + channels, x + padded, 0.0f);
  for (int64_t r = 0; r < HWY_MIN(kInt8AttentionKeys, k.dim(0) - first); ++r) {
    const InRow from = RowOf(k, (first + r) * k.stride(0));
    ByVectors(channels, [&](int64_t i, size_t n) HWY_ATTR {
      const VF mean = LoadRow({head.mean, DType::kF32}, i, n);
      hn::Store(hn::Sub(LoadRow(from, i, n), mean), DF(), x + i);
    });
    const RoundedRow rounded = RoundRow(x, padded, LargestOf<true>(x, padded), q);
    head.k_scale[first + r] = rounded.scale;
    head.k_sums[first + r] = 128 * rounded.sum;
    int8_t* dst = head.k + block * head.KeyBlockBytes() + r / kInt8Rows * head.KeyPanelBytes() +
                  r % kInt8Rows * kInt8Depth;
    for (int64_t i = 0; i < head.quads; ++i) {
      std::memcpy(dst + i * kInt8Rows * kInt8Depth, q + i * kInt8Depth, kInt8Depth);
    }
  }
}

// A vector of channels from `e` on of `count` values: x [count][lanes] -> digits and scales.
HWY_INLINE void RoundValues(const float* x, int64_t count, int64_t e, int64_t block,
                            Int8Head& head) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto most = hn::Zero(di);
  const auto see = [&](VF v) HWY_ATTR { most = hn::Max(most, hn::BitCast(di, hn::Abs(v))); };
  for (int64_t j = 0; j < count; ++j) {
    const VF v = hn::Load(d, x + j * lanes);
    see(v);
    if (j % 2 == 1) see(hn::Add(hn::Load(d, x + (j - 1) * lanes), v));
  }
  const VF largest = hn::BitCast(d, most);
  const auto tiny = hn::Lt(largest, hn::Set(d, 0x1p-119f));
  const VF scale = hn::IfThenZeroElse(tiny, hn::Div(largest, hn::Set(d, 127.0f)));
  const auto digits = hn::And(hn::Gt(scale, hn::Zero(d)), hn::IsFinite(scale));
  const VF factor = hn::IfThenElseZero(digits, hn::Div(hn::Set(d, 1.0f), scale));
  HWY_ALIGN float scales[hn::MaxLanes(d)];
  hn::Store(scale, d, scales);
  HWY_ALIGN int32_t quad[hn::MaxLanes(d)];
  const int64_t used = HWY_MIN(lanes, head.Channels() - e);
  std::memcpy(head.v_scale + block * head.Channels() + e, scales,
              static_cast<size_t>(used) * sizeof(float));
  for (int64_t i = 0; i < CeilDiv(count, kInt8Depth); ++i) {
    auto bytes = hn::Zero(di);
    for (int64_t t = HWY_MIN(kInt8Depth, count - i * kInt8Depth) - 1; t >= 0; --t) {
      const VF y = hn::Mul(hn::Load(d, x + (i * kInt8Depth + t) * lanes), factor);
      const auto q = hn::And(hn::NearestInt(hn::IfThenElseZero(digits, y)), hn::Set(di, 255));
      bytes = hn::Or(hn::ShiftLeft<8>(bytes), q);
    }
    hn::Store(bytes, di, quad);
    for (int64_t l = 0; l < used; ++l) {
      int8_t* dst = head.v + block * head.ValueBlockBytes() +
                    (e + l) / kInt8Rows * Int8Head::kValuePanelBytes +
                    (i * kInt8Rows + (e + l) % kInt8Rows) * kInt8Depth;
      std::memcpy(dst, quad + l, kInt8Depth);
    }
  }
}

void PackValues(const ConstTensorView& v, int64_t block, float* x, Int8Head& head) {
  const DF d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t first = block * kInt8AttentionKeys, channels = v.dim(1);
  const int64_t count = HWY_MIN(kInt8AttentionKeys, v.dim(0) - first);
  for (int64_t e = 0; e < head.Channels(); e += lanes) {
    const int64_t n = std::clamp<int64_t>(channels - e, 0, lanes);  // 0: the panel's padding
    for (int64_t j = 0; j < count; ++j) {
      const InRow row = RowOf(v, (first + j) * v.stride(0));
      hn::Store(n == 0 ? hn::Zero(d) : LoadRow(row, e, static_cast<size_t>(n)), d, x + j * lanes);
    }
    RoundValues(x, count, e, block, head);
  }
}

void PackKeyBlockHere(const ConstTensorView& k, const ConstTensorView& v, int64_t block,
                      std::byte* scratch, Int8Head& head) {
  std::memset(head.k + block * head.KeyBlockBytes(), 0, static_cast<size_t>(head.KeyBlockBytes()));
  PackKeys(k, block, reinterpret_cast<float*>(scratch), head);
  PackValues(v, block, reinterpret_cast<float*>(scratch), head);
}

void PackQueryBlocksHere(const ConstTensorView& q, int64_t begin, int64_t blocks,
                         std::byte* scratch, int8_t* dst, float* scale) {
  const int64_t channels = q.dim(1), padded = CeilDiv(channels, kRoundAlign) * kRoundAlign;
  const int64_t quads = CeilDiv(channels, kInt8Depth);
  auto* x = reinterpret_cast<float*>(scratch);
  auto* digits = reinterpret_cast<int8_t*>(x + padded);
  std::fill(x + channels, x + padded, 0.0f);
  for (int64_t i = 0; i < blocks * kInt8Features; ++i) {
    int8_t* out = dst + i / kInt8Features * quads * kInt8Features * kInt8Depth +
                  i % kInt8Features * kInt8Depth;
    scale[i] = 0;
    if (begin + i < q.dim(0)) {
      const InRow from = RowOf(q, (begin + i) * q.stride(0));
      ByVectors(channels,
                [&](int64_t e, size_t n) HWY_ATTR { hn::Store(LoadRow(from, e, n), DF(), x + e); });
      scale[i] = RoundRow(x, padded, LargestOf<false>(x, padded), digits).scale;
    } else {
      std::memset(digits, 0, static_cast<size_t>(padded));
    }
    for (int64_t e = 0; e < quads; ++e) {
      uint32_t quad;
      std::memcpy(&quad, digits + e * kInt8Depth, kInt8Depth);
      quad ^= 0x80808080u;  // adds 128 to every byte
      std::memcpy(out + e * kInt8Features * kInt8Depth, &quad, kInt8Depth);
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
namespace {

HWY_EXPORT(PackMeanHere);
HWY_EXPORT(PackKeyBlockHere);
HWY_EXPORT(PackQueryBlocksHere);

constexpr int64_t kAlign = 64;
constexpr int64_t kMaxLanes = 16;
int64_t Aligned(int64_t bytes) { return CeilDiv(bytes, kAlign) * kAlign; }

}  // namespace

int64_t Int8Head::Bytes() const {
  const int64_t keys = blocks * kInt8AttentionKeys;
  return Aligned(quads * kInt8Depth * 4) + Aligned(blocks * KeyBlockBytes()) + 2 * keys * 4 +
         Aligned(blocks * ValueBlockBytes()) + Aligned(blocks * Channels() * 4);
}

void Int8Head::Place(std::byte* memory) {
  const auto take = [&](int64_t bytes) {
    std::byte* at = memory;
    memory += Aligned(bytes);
    return at;
  };
  const int64_t keys = blocks * kInt8AttentionKeys;
  mean = reinterpret_cast<float*>(take(quads * kInt8Depth * 4));
  k = reinterpret_cast<int8_t*>(take(blocks * KeyBlockBytes()));
  k_scale = reinterpret_cast<float*>(take(keys * 4));
  k_sums = reinterpret_cast<int32_t*>(take(keys * 4));
  v = reinterpret_cast<int8_t*>(take(blocks * ValueBlockBytes()));
  v_scale = reinterpret_cast<float*>(take(blocks * Channels() * 4));
}

int64_t Int8PackBytes(int64_t channels) {
  constexpr int64_t kRow = 64;  // kRoundAlign
  return std::max(CeilDiv(channels, kRow) * kRow * 5, kInt8AttentionKeys * kMaxLanes * 4);
}

void PackMean(const ConstTensorView& k, Int8Head& head) {
  HWY_DYNAMIC_DISPATCH(PackMeanHere)(k, head);
}
void PackKeyBlock(const ConstTensorView& k, const ConstTensorView& v, int64_t block,
                  std::byte* scratch, Int8Head& head) {
  HWY_DYNAMIC_DISPATCH(PackKeyBlockHere)(k, v, block, scratch, head);
}
void PackQueryBlocks(const ConstTensorView& q, int64_t begin, int64_t blocks, std::byte* scratch,
                     int8_t* dst, float* scale) {
  HWY_DYNAMIC_DISPATCH(PackQueryBlocksHere)(q, begin, blocks, scratch, dst, scale);
}

}  // namespace kontext::cpu
#endif  // HWY_ONCE
