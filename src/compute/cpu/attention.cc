#include "compute/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compute/cpu/panels.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/cpu/attention.cc"
#include <hwy/foreach_target.h>

#include "compute/cpu/micro_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

// ---- Packing of one head's keys [begin, end) and the values and bias that go with them. --------

template <class T>
void PackKeys(const AttentionCall& c, int64_t head, int64_t begin, int64_t end, float* dst) {
  const T* k = c.k.As<T>() + head * c.k.stride(0);
  for (int64_t j = begin; j < end; j += kPanelRows) {
    const T* rows[kPanelRows] = {};
    for (int64_t r = 0; r < kPanelRows && j + r < c.keys; ++r)
      rows[r] = k + (j + r) * c.k.stride(1);
    PackRowPanel(rows, c.channels, dst + j * c.channels);
  }
}

template <class T>
void PackValues(const AttentionCall& c, int64_t head, int64_t begin, int64_t end, float* dst) {
  const hn::Full128<float> d;
  const T* v = c.v.As<T>() + head * c.v.stride(0);
  for (int64_t e = 0; e < c.channels; e += kPanelRows, dst += c.keys * kPanelRows) {
    const size_t n = static_cast<size_t>(HWY_MIN(c.channels - e, int64_t{kPanelRows}));
    for (int64_t j = begin; j < end; ++j) {
      const T* src = v + j * c.v.stride(1) + e;
      hn::Store(n == kPanelRows ? LoadF(d, src) : LoadPart(d, src, n), d, dst + j * kPanelRows);
    }
  }
}

void PackHeadHere(const AttentionCall& c, int64_t head, int64_t slot, int64_t begin, int64_t end) {
  VisitDType(c.k.dtype(), [&](auto zero) HWY_ATTR {
    PackKeys<decltype(zero)>(c, head, begin, end, c.packed_k + slot * c.k_stride);
  });
  VisitDType(c.v.dtype(), [&](auto zero) HWY_ATTR {
    PackValues<decltype(zero)>(c, head, begin, end, c.packed_v + slot * c.v_stride);
  });
}

// ---- One panel of queries. ---------------------------------------------------------------------

// The state of a panel of PanelColumns() queries from query `begin` on, in memory of the thread.
struct QueryPanel {
  int64_t begin;
  float* q;    // [Dh][columns], times scale * log2(e)
  float* out;  // O^T, [Dh rounded up to 4][columns], not yet divided by `sum`
  float* max;  // [columns]
  float* sum;  // [columns]
};

template <class T>
void PackQueries(const AttentionCall& c, int64_t head, const QueryPanel& p) {
  const T* q = c.q.As<T>() + head * c.q.stride(0);
  const T* rows[kMaxPanelColumns] = {};
  for (int64_t i = 0; i < PanelColumns() && p.begin + i < c.queries; ++i) {
    rows[i] = q + (p.begin + i) * c.q.stride(1);
  }
  PackColumnPanel(rows, c.channels, c.options.scale * kLog2E, PanelColumns(), p.q);
}

void StartPanel(const AttentionCall& c, int64_t head, const QueryPanel& p) {
  VisitDType(c.q.dtype(), [&](auto zero) HWY_ATTR { PackQueries<decltype(zero)>(c, head, p); });
  const int64_t width = PanelColumns();
  std::fill(p.out, p.out + CeilDiv(c.channels, kPanelRows) * kPanelRows * width, 0.0f);
  std::fill(p.max, p.max + width, -std::numeric_limits<float>::infinity());
  std::fill(p.sum, p.sum + width, 0.0f);
}

// scores[j][i] = K Q^T for `count` keys from `key` on; slices of the channels keep q in the cache.
void Scores(const AttentionCall& c, const QueryPanel& p, const float* keys, int64_t key,
            int64_t count, float* scores) {
  constexpr int64_t kSlice = 256;
  const int64_t width = PanelColumns();
  for (int64_t e = 0; e < c.channels; e += kSlice) {
    const int64_t depth = HWY_MIN(kSlice, c.channels - e);
    for (int64_t j = 0; j < count; j += kPanelRows) {
      const float* a = keys + (key + j) * c.channels + e * kPanelRows;
      if (e == 0) {
        MicroKernel<false>(depth, a, p.q, scores + j * width, width);
      } else {
        MicroKernel<true>(depth, a, p.q + e * width, scores + j * width, width);
      }
    }
  }
}

// Adds the bias and hides the keys after the query.
void BiasAndMask(const AttentionCall& c, const QueryPanel& p, const float* bias, int64_t key,
                 int64_t count, float* scores) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const VF hidden = hn::Set(d, -std::numeric_limits<float>::infinity());
  const bool mask = c.options.causal && key + count - 1 > p.begin;
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t i = 0; i < PanelColumns(); i += lanes) {
      float* s = scores + j * PanelColumns() + i;
      VF x = hn::Load(d, s);
      if (bias != nullptr) x = hn::Add(x, hn::LoadU(d, bias + c.keys - 1 - key - j + p.begin + i));
      if (mask) {
        const auto after =
            hn::Gt(hn::Set(di, static_cast<int32_t>(key + j - p.begin - i)), hn::Iota(di, 0));
        x = hn::IfThenElse(hn::RebindMask(d, after), hidden, x);
      }
      hn::Store(x, d, s);
    }
  }
}

// scores -> probabilities relative to the running maximum; max, sum and out follow.
void Softmax(const AttentionCall& c, const QueryPanel& p, int64_t count, float* scores) {
  const DF d;
  const int64_t width = PanelColumns();
  for (int64_t i = 0; i < width; i += static_cast<int64_t>(hn::Lanes(d))) {
    float* s = scores + i;
    const VF before = hn::Load(d, p.max + i);
    VF max = before;
    // A NaN score is passed over here (simd-inl.h, Exp2) and met below.
    for (int64_t j = 0; j < count; ++j) max = hn::Max(hn::Load(d, s + j * width), max);
    VF sum = hn::Zero(d);
    for (int64_t j = 0; j < count; ++j) {
      const VF e = Exp2(d, hn::Sub(hn::Load(d, s + j * width), max));
      sum = hn::Add(sum, e);
      hn::Store(e, d, s + j * width);
    }
    const VF shrink = Exp2(d, hn::Sub(before, max));
    hn::Store(max, d, p.max + i);
    hn::Store(hn::MulAdd(hn::Load(d, p.sum + i), shrink, sum), d, p.sum + i);
    for (int64_t e = 0; e < c.channels; ++e) {
      float* out = p.out + e * width + i;
      hn::Store(hn::Mul(hn::Load(d, out), shrink), d, out);
    }
  }
}

template <class T>
void StoreRows(const AttentionCall& c, int64_t head, const QueryPanel& p, float* row) {
  const DF d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < PanelColumns() && p.begin + i < c.queries; ++i) {
    T* dst = c.dst.As<T>() + (p.begin + i) * c.dst.stride(0) + head * c.channels;
    for (int64_t e = 0; e < c.channels; ++e) row[e] = p.out[e * PanelColumns() + i];
    const VF sum = hn::Set(d, p.sum[i]);
    int64_t e = 0;
    for (; e + lanes <= c.channels; e += lanes) StoreF(hn::Div(LoadF(d, row + e), sum), d, dst + e);
    const size_t rest = static_cast<size_t>(c.channels - e);
    if (rest > 0) StorePart(hn::Div(LoadPart(d, row + e, rest), sum), d, dst + e, rest);
  }
}

// Queries [begin, begin + panels * PanelColumns()) of one head. `memory`: see ThreadFloats.
void AttendBlockHere(const AttentionCall& c, int64_t head, int64_t slot, int64_t begin,
                     int64_t panels, float* memory) {
  const int64_t width = PanelColumns();
  const int64_t padded = CeilDiv(c.channels, kPanelRows) * kPanelRows;
  float* scores = memory;
  float* state = memory + c.block_keys * width;
  const auto panel = [&](int64_t i) {
    float* at = state + i * (2 * padded + 2) * width;
    return QueryPanel{begin + i * width, at, at + padded * width, at + 2 * padded * width,
                      at + (2 * padded + 1) * width};
  };
  const float* keys = c.packed_k + slot * c.k_stride;
  const float* values = c.packed_v + slot * c.v_stride;
  const float* bias = c.turned_bias != nullptr ? c.turned_bias + slot * c.bias_stride : nullptr;
  for (int64_t i = 0; i < panels; ++i) StartPanel(c, head, panel(i));
  for (int64_t key = 0; key < c.keys; key += c.block_keys) {
    const int64_t count = HWY_MIN(c.block_keys, c.keys - key);
    for (int64_t i = 0; i < panels; ++i) {
      const QueryPanel p = panel(i);
      if (c.options.causal && key > p.begin + width - 1) continue;  // all of these keys come later
      Scores(c, p, keys, key, count, scores);
      if (bias != nullptr || c.options.causal) BiasAndMask(c, p, bias, key, count, scores);
      Softmax(c, p, count, scores);
      for (int64_t e = 0; e < c.channels; e += kPanelRows) {
        MicroKernel<true>(count, values + e * c.keys + key * kPanelRows, scores, p.out + e * width,
                          width);
      }
    }
  }
  for (int64_t i = 0; i < panels; ++i) {
    if (c.dst.dtype() == DType::kBF16) {
      StoreRows<BF16>(c, head, panel(i), panel(i).q);
    } else {
      StoreRows<float>(c, head, panel(i), panel(i).q);
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

HWY_EXPORT(PackHeadHere);
HWY_EXPORT(AttendBlockHere);

constexpr int64_t kPackKeys = 64;    // keys packed by one task; a multiple of the panel's rows
constexpr int64_t kBlockPanels = 4;  // query panels that share the passing keys
constexpr double kLog2 = 1.4426950408889634;

// The keys of one step: their K and V (block x Dh floats each) share the second cache.
int64_t BlockKeys(int64_t channels) {
  return std::clamp<int64_t>(32768 / channels / kPanelRows * kPanelRows, 32, 256);
}

// Memory of a thread: scores, and per query panel q, O^T, max and sum.
int64_t ThreadFloats(const AttentionCall& c) {
  const int64_t padded = CeilDiv(c.channels, kPanelRows) * kPanelRows;
  return (c.block_keys + kBlockPanels * (2 * padded + 2)) * PanelColumns();
}

void TurnBias(const AttentionCall& c, int64_t head, int64_t slot) {
  const int64_t count = c.queries + c.keys - 1;
  const float* bias = c.options.relative_bias.As<float>() + head * count;
  float* turned = c.turned_bias + slot * c.bias_stride;
  for (int64_t x = 0; x < count; ++x) {
    turned[x] = static_cast<float>(kLog2 * static_cast<double>(bias[count - 1 - x]));
  }
  std::fill(turned + count, turned + c.bias_stride, 0.0f);  // read for queries past the last
}

Status Place(AttentionCall& c, int64_t group, int threads, Workspace& space, float** memory) {
  const int64_t keys = CeilDiv(c.keys, kPanelRows) * kPanelRows;
  c.k_stride = keys * c.channels;
  c.v_stride = CeilDiv(c.channels, kPanelRows) * kPanelRows * c.keys;
  KX_ASSIGN_OR_RETURN(c.packed_k,
                      space.Floats(Slot::kRowPanels, group * (c.k_stride + c.v_stride)));
  c.packed_v = c.packed_k + group * c.k_stride;
  if (!c.options.relative_bias.empty()) {
    c.bias_stride = c.queries + c.keys + PanelColumns();
    KX_ASSIGN_OR_RETURN(c.turned_bias, space.Floats(Slot::kBias, group * c.bias_stride));
  }
  KX_ASSIGN_OR_RETURN(*memory, space.Floats(Slot::kThreads, threads * ThreadFloats(c)));
  return Status();
}

// Called by all threads of a team.
void AttendGroup(const AttentionCall& c, int64_t first, int64_t heads, float* memory) {
  const int64_t chunks = CeilDiv(c.keys, kPackKeys);
#pragma omp for schedule(static)
  for (int64_t i = 0; i < heads * chunks; ++i) {
    const int64_t slot = i / chunks, begin = i % chunks * kPackKeys;
    if (begin == 0 && c.turned_bias != nullptr) TurnBias(c, first + slot, slot);
    HWY_DYNAMIC_DISPATCH(PackHeadHere)
    (c, first + slot, slot, begin, std::min(begin + kPackKeys, c.keys));
  }
  const int64_t width = PanelColumns();
  const int64_t panels = CeilDiv(c.queries, width);
  const int64_t blocks = CeilDiv(panels, kBlockPanels);
  float* mine = memory + omp_get_thread_num() * ThreadFloats(c);
#pragma omp for schedule(dynamic)
  for (int64_t i = 0; i < heads * blocks; ++i) {
    const int64_t slot = i / blocks, panel = i % blocks * kBlockPanels;
    HWY_DYNAMIC_DISPATCH(AttendBlockHere)
    (c, first + slot, slot, panel * width, std::min(kBlockPanels, panels - panel), mine);
  }
}

}  // namespace

int64_t HeadsPerGroup(int64_t heads, int64_t queries, int64_t task_queries, int threads) {
  const int64_t tasks = CeilDiv(queries, task_queries);
  return std::clamp<int64_t>(CeilDiv(int64_t{4} * threads, tasks), 1, heads);
}

Status Attend(ConstTensorView q, ConstTensorView k, ConstTensorView v, const AttentionOptions& o,
              TensorView dst, Workspace& space) {
  AttentionCall c{q, k, v, o, dst};
  c.queries = q.dim(1);
  c.keys = k.dim(1);
  c.channels = q.dim(2);
  c.block_keys = BlockKeys(c.channels);
  const int64_t heads = q.dim(0);
  const int threads = ThreadsFor(static_cast<double>(heads * c.queries) *
                                 static_cast<double>(c.keys * c.channels) / 8);
  const int64_t group = HeadsPerGroup(heads, c.queries, kBlockPanels * PanelColumns(), threads);
  float* memory = nullptr;
  KX_RETURN_IF_ERROR(Place(c, group, threads, space, &memory));
#pragma omp parallel num_threads(threads)
  for (int64_t first = 0; first < heads; first += group) {
    AttendGroup(c, first, std::min(group, heads - first), memory);
  }
  return Status();
}

void AttentionSlots(int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                    SlotBytes& bytes) {
  if (heads == 0 || queries == 0) return;
  AttentionCall c;
  c.channels = channels;
  c.block_keys = BlockKeys(channels);
  const int threads = omp_get_max_threads();
  const int64_t group = HeadsPerGroup(heads, queries, kBlockPanels * PanelColumns(), threads);
  const int64_t padded_keys = CeilDiv(keys, kPanelRows) * kPanelRows;
  const int64_t padded_channels = CeilDiv(channels, kPanelRows) * kPanelRows;
  const auto raise = [&](Slot slot, int64_t floats) {
    Raise(bytes, slot, floats * SizeOf(DType::kF32));
  };
  raise(Slot::kRowPanels, group * (padded_keys * channels + padded_channels * keys));
  raise(Slot::kBias, group * (queries + keys + PanelColumns()));
  raise(Slot::kThreads, threads * ThreadFloats(c));
}

}  // namespace kontext::cpu
#endif  // HWY_ONCE
