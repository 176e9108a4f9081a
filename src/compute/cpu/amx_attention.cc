#include "compute/cpu/amx_attention.h"

#include "compute/cpu/amx.h"
#include "compute/cpu/amx_tiles.h"
#include "compute/cpu/bf16_attention_run.h"

namespace kontext::cpu {
namespace {

struct Amx {
  static constexpr int64_t kColumns = kAmxSide, kBlock = 256, kDepth = kAmxDepth;
  using Registers = AmxRegisters;

  // Keys [Tk/32][Dh/32][32][32], values [Dh/32][Tk/32][32][32], a channel's keys side by side.
  static int64_t KeyBytes(int64_t keys, int64_t channels) {
    return RoundUp(keys, kAmxSide) * channels * 2;
  }
  static int64_t ValueBytes(int64_t keys, int64_t channels) { return KeyBytes(keys, channels); }

  static void PackKeys(const ConstTensorView& k, int64_t begin, int64_t end, std::byte* packed) {
    const int64_t channels = k.dim(1);
    for (int64_t j = begin; j < end; j += kAmxSide) {
      const void* rows[kAmxSide] = {};
      for (int64_t i = 0; i < kAmxSide && j + i < end; ++i) {
        rows[i] = k.As<BF16>() + (j + i) * k.stride(0);
      }
      AmxPanels().PackRows(rows, DType::kBF16, 0, channels, channels, packed + j * channels * 2);
    }
  }

  KX_AMX_TARGET static void PackValues(const ConstTensorView& v, int64_t begin, int64_t end,
                                       std::byte* packed) {
    const int64_t keys = RoundUp(v.dim(0), kAmxSide);
    for (int64_t e = 0; e < v.dim(1); e += kAmxHalf) {
      for (int64_t j = begin; j < end; j += kAmxDepth) {
        __m512i pairs[kAmxHalf];  // of two keys, a channel in each lane
        for (int64_t p = 0; p < kAmxHalf; ++p) {
          const int64_t even = j + 2 * p;
          const auto channels = [&](int64_t key) KX_AMX_TARGET {
            if (key >= end) return _mm512_setzero_si512();
            const BF16* row = v.As<BF16>() + key * v.stride(0) + e;
            return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)));
          };
          pairs[p] = _mm512_or_si512(channels(even), _mm512_slli_epi32(channels(even + 1), 16));
        }
        Transpose16(pairs);
        std::byte* to =
            packed + (e / kAmxSide * keys + j) * kAmxRowBytes + e % kAmxSide * kAmxRowBytes;
        for (int64_t r = 0; r < kAmxHalf; ++r) {
          _mm512_store_si512(to + r * kAmxRowBytes, pairs[r]);
        }
      }
    }
  }

  KX_AMX_TARGET static void PackQueries(const ConstTensorView& q, int64_t first, int64_t count,
                                        uint32_t* dst) {
    for (int64_t i = 0; i < kAmxSide; i += kAmxHalf) {
      for (int64_t e = 0; e < q.dim(1); e += kAmxDepth) {
        __m512i rows[kAmxHalf];
        for (int64_t r = 0; r < kAmxHalf; ++r) {
          const BF16* row = q.As<BF16>() + (first + i + r) * q.stride(0) + e;
          rows[r] = i + r < count ? _mm512_loadu_si512(row) : _mm512_setzero_si512();
        }
        Transpose16(rows);
        for (int64_t p = 0; p < kAmxHalf; ++p) {
          _mm512_store_si512(dst + (e / 2 + p) * kColumns + i, rows[p]);
        }
      }
    }
  }

  KX_AMX_TARGET static void Scores(const std::byte* keys, int64_t key, int64_t count,
                                   int64_t channels, const uint32_t* q, float* scores) {
    for (int64_t j = 0; j < count; j += kAmxSide) {
      AmxZeroSums();
      AmxMultiply(channels / kAmxDepth, AmxRowPanel(keys + (key + j) * channels * 2), AmxPairs(q));
      AmxStoreSums(scores + j * kColumns, kColumns);
    }
  }

  KX_AMX_TARGET static void AddValues(const std::byte* values, int64_t keys, int64_t key,
                                      int64_t count, int64_t channels, const uint32_t* pairs,
                                      const float* shrink, float* out) {
    const __m512 low = _mm512_load_ps(shrink), high = _mm512_load_ps(shrink + kBf16Lanes);
    const int64_t head = RoundUp(keys, kAmxSide);
    for (int64_t e = 0; e < channels; e += kAmxSide, out += kAmxSide * kColumns) {
      for (float* row = out; row < out + kAmxSide * kColumns; row += kColumns) {
        _mm512_store_ps(row, _mm512_mul_ps(_mm512_load_ps(row), low));
        _mm512_store_ps(row + kBf16Lanes, _mm512_mul_ps(_mm512_load_ps(row + kBf16Lanes), high));
      }
      AmxLoadSums(out, kColumns);
      AmxMultiply(CeilDiv(count, kDepth),
                  AmxRowPanel(values + (e / kAmxSide * head + key) * kAmxRowBytes),
                  AmxPairs(pairs));
      AmxStoreSums(out, kColumns);
    }
  }
};

}  // namespace

Status AttendAmx(ConstTensorView q, ConstTensorView k, ConstTensorView v, const AttentionOptions& o,
                 TensorView dst, Workspace& space) {
  return Bf16AttentionRun<Amx>(q, k, v, o.scale, dst).Execute(space);
}

void AmxAttentionSlots(int64_t heads, int64_t queries, int64_t keys, int64_t channels,
                       SlotBytes& bytes) {
  Bf16AttentionRun<Amx>::Slots(heads, queries, keys, channels, bytes);
}

}  // namespace kontext::cpu
