#include "compute/cpu/bf16_attention.h"

#include <hwy/base.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/bf16.h"
#include "compute/cpu/attention.h"
#include "compute/cpu/panels.h"
#include "compute/cpu/parallel.h"

#if defined(__GNUC__) && !defined(__clang__)  // its own header leaves a pass-through operand unset
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

// What the inner functions need; PlanFor chooses them only where the processor has it.
#define KX_BF16_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace kontext::cpu {
namespace {

constexpr int64_t kRows = 8;      // keys, or channels of V, of a row panel
constexpr int64_t kColumns = 48;  // queries of a column panel: three registers
constexpr int64_t kLanes = 16;
constexpr int64_t kBlock = 128;  // keys of one step of the streaming softmax; even
constexpr int64_t kPanels = 4;   // query panels that share the passing keys
constexpr int64_t kTaskQueries = kPanels * kColumns;

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
      c[r][j] = shrink == nullptr ? _mm512_setzero_ps()
                                  : _mm512_mul_ps(_mm512_load_ps(shrink + j * kLanes),
                                                  _mm512_load_ps(tile + r * kColumns + j * kLanes));
    }
  }
  for (int64_t p = 0; p < pairs; ++p, a += kRows, b += kColumns) {
    __m512bh w[3];
    HWY_UNROLL(8)
    for (int64_t j = 0; j < 3; ++j) {
      w[j] = reinterpret_cast<__m512bh>(_mm512_load_si512(b + j * kLanes));
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
    for (int64_t j = 0; j < 3; ++j) _mm512_store_ps(tile + r * kColumns + j * kLanes, c[r][j]);
  }
}

// 2^x for x <= 0. The polynomial interpolates 2^f on [0, 1) at five Chebyshev nodes, relative error
// 3.5e-6: what counts is the rounding to bf16 that follows.
KX_BF16_TARGET inline __m512 Exp2(__m512 x) {
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_set1_ps(1.36703095e-2f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.17449978e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.41604357e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.92972922e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.00000349f));
  return _mm512_scalef_ps(p, x);
}

// What a thread knows of a panel of queries.
struct Panel {
  uint32_t* q;  // [Dh/2][48] pairs of channels
  float* out;   // O^T [Dh][48], not yet divided by `sum`
  float* max;   // [48], of the scores times `scale`
  float* sum;   // [48]
};

// scores [count][48] -> pairs [count/2 rounded up][48] of keys' probabilities relative to the
// running maximum, times `scale` before; max and sum follow, `shrink` is what they shrink by.
KX_BF16_TARGET void Softmax(const float* scores, int64_t count, float scale, const Panel& p,
                            float* shrink, uint32_t* pairs) {
  const __m512 factor = _mm512_set1_ps(scale);
  for (int64_t i = 0; i < kColumns; i += kLanes) {
    const float* s = scores + i;
    __m512 highest = _mm512_load_ps(s);
    for (int64_t j = 1; j < count; ++j) {  // a NaN score is passed over here and met below
      highest = _mm512_max_ps(_mm512_load_ps(s + j * kColumns), highest);
    }
    const __m512 before = _mm512_load_ps(p.max + i);
    const __m512 max = _mm512_max_ps(_mm512_mul_ps(highest, factor), before);
    const auto probability = [&](int64_t j) KX_BF16_TARGET {
      return Exp2(_mm512_fmsub_ps(_mm512_load_ps(s + j * kColumns), factor, max));
    };
    const auto store = [&](int64_t j, __m512 even, __m512 odd) KX_BF16_TARGET {
      // cvtne2ps gives 16 numbers of one, then of the other; they come to lie side by side.
      const __m512i rounded = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
      const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(rounded));
      const __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(rounded, 1));
      _mm512_store_si512(pairs + j / 2 * kColumns + i,
                         _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    };
    __m512 sum = _mm512_setzero_ps();
    int64_t j = 0;
    for (; j + 2 <= count; j += 2) {
      const __m512 even = probability(j), odd = probability(j + 1);
      sum = _mm512_add_ps(sum, _mm512_add_ps(even, odd));
      store(j, even, odd);
    }
    if (j < count) {
      const __m512 even = probability(j);
      sum = _mm512_add_ps(sum, even);
      store(j, even, _mm512_setzero_ps());
    }
    const __m512 less = Exp2(_mm512_sub_ps(before, max));
    _mm512_store_ps(shrink + i, less);
    _mm512_store_ps(p.max + i, max);
    _mm512_store_ps(p.sum + i, _mm512_fmadd_ps(_mm512_load_ps(p.sum + i), less, sum));
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

class Run {
 public:
  Run(const ConstTensorView& q, const ConstTensorView& k, const ConstTensorView& v, float scale,
      const TensorView& dst)
      : q_(q), k_(k), v_(v), scale_(scale * kLog2E), dst_(dst) {}

  Status Execute(Workspace& space) {
    const int64_t heads = q_.dim(0), queries = q_.dim(1), keys = k_.dim(1), channels = q_.dim(2);
    const int threads = ThreadsFor(static_cast<double>(heads * queries) *
                                   static_cast<double>(keys * channels) / 16);
    const int64_t group = HeadsPerGroup(heads, queries, kTaskQueries, threads);
    KX_ASSIGN_OR_RETURN(std::byte * packed,
                        space.Bytes(Slot::kRowPanels, group * HeadBytes(keys, channels)));
    KX_ASSIGN_OR_RETURN(std::byte * memory,
                        space.Bytes(Slot::kThreads, threads * ThreadBytes(channels)));
    packed_ = packed;
#pragma omp parallel num_threads(threads)
    for (int64_t first = 0; first < heads; first += group) {
      Group(first, std::min(group, heads - first),
            memory + omp_get_thread_num() * ThreadBytes(channels));
    }
    return Status();
  }

  // Packed keys [Tk/8][Dh/2][8], then values [Dh/8][Tk/2][8], in pairs.
  static int64_t HeadBytes(int64_t keys, int64_t channels) {
    return (CeilDiv(keys, kRows) * kRows * channels + CeilDiv(keys, int64_t{2}) * 2 * channels) * 2;
  }
  static int64_t ThreadBytes(int64_t channels) {
    const int64_t scores = kBlock * kColumns * 4, pairs = scores / 2, vector = kColumns * 4;
    return scores + pairs + vector + kPanels * PanelBytes(channels);
  }

 private:
  static int64_t PanelBytes(int64_t channels) {
    return channels * kColumns * 2 + channels * kColumns * 4 + 2 * kColumns * 4;
  }
  uint32_t* Keys(int64_t slot) const {
    return reinterpret_cast<uint32_t*>(packed_ + slot * HeadBytes(k_.dim(1), k_.dim(2)));
  }
  uint32_t* Values(int64_t slot) const {
    return Keys(slot) + CeilDiv(k_.dim(1), kRows) * kRows * k_.dim(2) / 2;
  }
  int64_t KeyPairs() const { return CeilDiv(k_.dim(1), int64_t{2}); }

  // Called by all threads of a team.
  void Group(int64_t first, int64_t heads, std::byte* memory) const {
    const int64_t keys = k_.dim(1), channels = k_.dim(2), blocks = CeilDiv(keys, kBlock);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < heads * blocks; ++i) {
      const int64_t slot = i / blocks, begin = i % blocks * kBlock;
      const int64_t end = std::min(begin + kBlock, keys);
      for (int64_t j = begin; j < end; j += kRows) {
        PackPairs(k_.At(first + slot), j, end - j, kRows, Keys(slot) + j * channels / 2);
      }
      for (int64_t e = 0; e < channels; e += kRows) {
        PackValues(v_.At(first + slot), begin, end, e,
                   Values(slot) + e * KeyPairs() + begin / 2 * kRows);
      }
    }
    const int64_t tasks = CeilDiv(q_.dim(1), kTaskQueries);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < heads * tasks; ++i) {
      Attend(first + i / tasks, i / tasks, i % tasks * kTaskQueries, memory);
    }
  }

  // The queries [begin, begin + 192) of a head.
  void Attend(int64_t head, int64_t slot, int64_t begin, std::byte* memory) const {
    const int64_t keys = k_.dim(1), channels = k_.dim(2);
    float* scores = reinterpret_cast<float*>(memory);
    uint32_t* pairs = reinterpret_cast<uint32_t*>(scores + kBlock * kColumns);
    float* shrink = reinterpret_cast<float*>(pairs + kBlock / 2 * kColumns);
    std::byte* panels = reinterpret_cast<std::byte*>(shrink + kColumns);
    const auto panel = [&](int64_t i) {
      float* out = reinterpret_cast<float*>(panels + i * PanelBytes(channels));
      float* max = out + channels * kColumns;
      return Panel{reinterpret_cast<uint32_t*>(max + 2 * kColumns), out, max, max + kColumns};
    };
    const int64_t queries = std::min(kTaskQueries, q_.dim(1) - begin);
    const int64_t count = CeilDiv(queries, kColumns);
    for (int64_t i = 0; i < count; ++i) {
      const Panel p = panel(i);
      PackPairs(q_.At(head), begin + i * kColumns, queries - i * kColumns, kColumns, p.q);
      std::fill_n(p.out, channels * kColumns, 0.0f);
      std::fill_n(p.max, kColumns, -std::numeric_limits<float>::max());  // finite: max - max is 0
      std::fill_n(p.sum, kColumns, 0.0f);
    }
    for (int64_t key = 0; key < keys; key += kBlock) {
      const int64_t block = std::min(kBlock, keys - key);
      for (int64_t i = 0; i < count; ++i) {
        const Panel p = panel(i);
        for (int64_t j = 0; j < block; j += kRows) {
          Tile(channels / 2, Keys(slot) + (key + j) * channels / 2, p.q, nullptr,
               scores + j * kColumns);
        }
        Softmax(scores, block, scale_, p, shrink, pairs);
        for (int64_t e = 0; e < channels; e += kRows) {
          Tile(CeilDiv(block, int64_t{2}), Values(slot) + e * KeyPairs() + key / 2 * kRows, pairs,
               shrink, p.out + e * kColumns);
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      Store(head, begin + i * kColumns, std::min(kColumns, queries - i * kColumns), panel(i));
    }
  }

  // The panel's rows, divided by their sums.
  void Store(int64_t head, int64_t first, int64_t count, const Panel& p) const {
    const int64_t channels = k_.dim(2);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = (first + i) * dst_.stride(0) + head * channels;
      for (int64_t e = 0; e < channels; ++e) {
        const float x = p.out[e * kColumns + i] / p.sum[i];
        if (dst_.dtype() == DType::kBF16) {
          dst_.As<BF16>()[at + e] = ToBF16(x);
        } else {
          dst_.As<float>()[at + e] = x;
        }
      }
    }
  }

  ConstTensorView q_, k_, v_;  // [H,Tq,Dh], [H,Tk,Dh]
  float scale_;                // times log2(e)
  TensorView dst_;             // [Tq,H*Dh]
  std::byte* packed_ = nullptr;
};

}  // namespace

bool Bf16AttentionTakes(const ConstTensorView& q, const ConstTensorView& k,
                        const ConstTensorView& v, const AttentionOptions& o) {
  const auto is_bf16 = [](const ConstTensorView& x) { return x.dtype() == DType::kBF16; };
  return is_bf16(q) && is_bf16(k) && is_bf16(v) && o.relative_bias.empty() && !o.causal &&
         o.scale > 0 && q.dim(2) % kRows == 0;
}

Status AttendBf16(ConstTensorView q, ConstTensorView k, ConstTensorView v,
                  const AttentionOptions& o, TensorView dst, Workspace& space) {
  return Run(q, k, v, o.scale, dst).Execute(space);
}

void Bf16AttentionSlots(int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                        SlotBytes& bytes) {
  if (heads == 0 || queries == 0) return;
  const int threads = omp_get_max_threads();
  Raise(bytes, Slot::kRowPanels,
        HeadsPerGroup(heads, queries, kTaskQueries, threads) * Run::HeadBytes(keys, channels));
  Raise(bytes, Slot::kThreads, threads * Run::ThreadBytes(channels));
}

}  // namespace kontext::cpu
