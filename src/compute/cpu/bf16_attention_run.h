// A Bf16AttentionRun is Ops::Attention in bf16 over a unit that multiplies: the registers of
// AVX-512 (bf16_attention.cc) or of AMX (amx_attention.cc). Both products are transposed, S^T = K
// Q^T and O^T = V^T P^T: scores come out with a query in each lane, and two keys' probabilities of
// a query make the 32-bit lane that the second product reads, so nothing is shuffled.
//
// A unit has
// - kColumns, the queries of a panel; kBlock, the keys of one step of the streaming softmax, a
//   multiple of kDepth; kDepth, the keys that the second product takes at once;
// - KeyBytes, ValueBytes: of a head's packed keys and values;
// - PackKeys, PackValues: keys [begin, end) of a head, begin a multiple of kBlock;
// - PackQueries: `count` queries from `first` on as pairs [Dh/2][kColumns], zeros after them;
// - Probabilities: pairs of the keys from `key` on relative to the panel's max, whose sums are
// added
//   to its sum. True if max has grown: `out` must shrink;
// - AddValues: out [Dh][kColumns] += V^T pairs, of the same keys, first times `shrink` if not null;
// - Registers: what must live while it multiplies.
#ifndef KONTEXT_COMPUTE_CPU_BF16_ATTENTION_RUN_H_
#define KONTEXT_COMPUTE_CPU_BF16_ATTENTION_RUN_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/status.h"
#include "compute/cpu/attention.h"
#include "compute/cpu/bf16_softmax.h"
#include "compute/cpu/panels.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/workspace.h"
#include "tensor/view.h"

namespace kontext::cpu {

template <class Unit>
class Bf16AttentionRun {
 public:
  Bf16AttentionRun(const ConstTensorView& q, const ConstTensorView& k, const ConstTensorView& v,
                   float scale, const TensorView& dst)
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

  // The most it takes of the workspace: raises `bytes` to that.
  static void Slots(int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                    SlotBytes& bytes) {
    if (heads == 0 || queries == 0) return;
    const int threads = omp_get_max_threads();
    Raise(bytes, Slot::kRowPanels,
          HeadsPerGroup(heads, queries, kTaskQueries, threads) * HeadBytes(keys, channels));
    Raise(bytes, Slot::kThreads, threads * ThreadBytes(channels));
  }

 private:
  static constexpr int64_t kColumns = Unit::kColumns, kBlock = Unit::kBlock;
  static constexpr int64_t kPanels = 4;  // query panels that share the passing keys
  static constexpr int64_t kTaskQueries = kPanels * kColumns;

  static int64_t HeadBytes(int64_t keys, int64_t channels) {
    return Unit::KeyBytes(keys, channels) + Unit::ValueBytes(keys, channels);
  }
  static int64_t ThreadBytes(int64_t channels) {
    const int64_t scores = kBlock * kColumns * 4, pairs = scores / 2, vector = kColumns * 4;
    return scores + pairs + vector + kPanels * PanelBytes(channels);
  }
  static int64_t PanelBytes(int64_t channels) {
    return channels * kColumns * 2 + channels * kColumns * 4 + 2 * kColumns * 4;
  }
  std::byte* Keys(int64_t slot) const { return packed_ + slot * HeadBytes(k_.dim(1), k_.dim(2)); }
  std::byte* Values(int64_t slot) const {
    return Keys(slot) + Unit::KeyBytes(k_.dim(1), k_.dim(2));
  }

  // Called by all threads of a team.
  void Group(int64_t first, int64_t heads, std::byte* memory) const {
    const int64_t keys = k_.dim(1), blocks = CeilDiv(keys, kBlock);
#pragma omp for schedule(static)
    for (int64_t i = 0; i < heads * blocks; ++i) {
      const int64_t slot = i / blocks, begin = i % blocks * kBlock;
      const int64_t end = std::min(begin + kBlock, keys);
      Unit::PackKeys(k_.At(first + slot), begin, end, Keys(slot));
      Unit::PackValues(v_.At(first + slot), begin, end, Values(slot));
    }
    const int64_t tasks = CeilDiv(q_.dim(1), kTaskQueries);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < heads * tasks; ++i) {
      Attend(first + i / tasks, i / tasks, i % tasks * kTaskQueries, memory);
    }
  }

  // The queries [begin, begin + kTaskQueries) of a head.
  void Attend(int64_t head, int64_t slot, int64_t begin, std::byte* memory) const {
    const int64_t keys = k_.dim(1), channels = k_.dim(2);
    float* scores = reinterpret_cast<float*>(memory);
    uint32_t* pairs = reinterpret_cast<uint32_t*>(scores + kBlock * kColumns);
    float* shrink = reinterpret_cast<float*>(pairs + kBlock / 2 * kColumns);
    std::byte* panels = reinterpret_cast<std::byte*>(shrink + kColumns);
    const auto panel = [&](int64_t i) {
      float* out = reinterpret_cast<float*>(panels + i * PanelBytes(channels));
      float* max = out + channels * kColumns;
      return Bf16Panel{reinterpret_cast<uint32_t*>(max + 2 * kColumns), out, max, max + kColumns};
    };
    [[maybe_unused]] const typename Unit::Registers registers;
    const int64_t queries = std::min(kTaskQueries, q_.dim(1) - begin);
    const int64_t count = CeilDiv(queries, kColumns);
    for (int64_t i = 0; i < count; ++i) {
      const Bf16Panel p = panel(i);
      Unit::PackQueries(q_.At(head), begin + i * kColumns,
                        std::min(kColumns, queries - i * kColumns), p.q);
      std::fill_n(p.out, channels * kColumns, 0.0f);
      std::fill_n(p.max, kColumns, -std::numeric_limits<float>::max());  // finite: max - max is 0
      std::fill_n(p.sum, kColumns, 0.0f);
    }
    for (int64_t key = 0; key < keys; key += kBlock) {
      const int64_t block = std::min(kBlock, keys - key);
      uint32_t* end = pairs + RoundUp(block, Unit::kDepth) / 2 * kColumns;
      for (int64_t i = 0; i < count; ++i) {
        const Bf16Panel p = panel(i);
        const bool shrinks =
            Unit::Probabilities(Keys(slot), key, block, channels, scale_, p, scores, shrink, pairs);
        std::fill(pairs + CeilDiv(block, int64_t{2}) * kColumns, end, 0u);
        Unit::AddValues(Values(slot), keys, key, block, channels, pairs, shrinks ? shrink : nullptr,
                        p.out);
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      Store(head, begin + i * kColumns, std::min(kColumns, queries - i * kColumns), panel(i));
    }
  }

  // The panel's rows, divided by their sums.
  void Store(int64_t head, int64_t first, int64_t count, const Bf16Panel& p) const {
    const int64_t channels = k_.dim(2);
    for (int64_t i = 0; i < count; i += kBf16Lanes) {
      for (int64_t e = 0; e < channels; e += kBf16Lanes) {
        StoreBf16Square(p.out + e * kColumns + i, kColumns, p.sum + i,
                        std::min(kBf16Lanes, count - i), dst_, first + i, head * channels + e);
      }
    }
  }

  ConstTensorView q_, k_, v_;  // [H,Tq,Dh], [H,Tk,Dh]
  float scale_;                // times log2(e)
  TensorView dst_;             // [Tq,H*Dh]
  std::byte* packed_ = nullptr;
};

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_BF16_ATTENTION_RUN_H_
