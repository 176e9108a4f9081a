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

  static bool Probabilities(const std::byte* keys, int64_t key, int64_t count, int64_t channels,
                            float scale, const Bf16Panel& p, float* scores, float* shrink,
                            uint32_t* pairs) {
    const std::byte* k = keys + key * channels * 2;
    if (key > 0 && count % kAmxSide == 0 && KeepMax(k, count, channels, scale, p, scores, pairs)) {
      return false;
    }
    for (int64_t j = 0; j < count; j += kAmxSide) {
      Scores(k + j * channels * 2, channels, p.q, scores + j * kColumns);
    }
    Bf16Softmax<kColumns>(scores, count, scale, p, shrink, pairs);
    return true;
  }

  KX_AMX_TARGET static void AddValues(const std::byte* values, int64_t keys, int64_t key,
                                      int64_t count, int64_t channels, const uint32_t* pairs,
                                      const float* shrink, float* out) {
    const int64_t head = RoundUp(keys, kAmxSide);
    for (int64_t e = 0; e < channels; e += kAmxSide, out += kAmxSide * kColumns) {
      if (shrink != nullptr) Shrink(shrink, out);
      AmxLoadSums(out, kColumns);
      AmxMultiply(CeilDiv(count, kDepth),
                  AmxRowPanel(values + (e / kAmxSide * head + key) * kAmxRowBytes),
                  AmxPairs(pairs));
      AmxStoreSums(out, kColumns);
    }
  }

 private:
  // Of kAmxSide keys.
  KX_AMX_TARGET static void Scores(const std::byte* keys, int64_t channels, const uint32_t* q,
                                   float* scores) {
    AmxZeroSums();
    AmxMultiply(channels / kAmxDepth, AmxRowPanel(keys), AmxPairs(q));
    AmxStoreSums(scores, kColumns);
  }

  // Probabilities relative to the maximum of the keys before, so that they are made while the next
  // kAmxSide keys are multiplied, and scores never leave the first cache. False, and nothing but
  // `scores` and `pairs` touched, if one is above kMost: bf16 rounds relative to a number's size,
  // so up to there nothing is lost, but not without end.
  KX_AMX_TARGET static bool KeepMax(const std::byte* keys, int64_t count, int64_t channels,
                                    float scale, const Bf16Panel& p, float* scores,
                                    uint32_t* pairs) {
    constexpr uint16_t kMost = 0x4380;  // the bits of 2^8
    constexpr int64_t kTile = kAmxSide * kColumns;
    const __m512 factor = _mm512_set1_ps(scale);
    const __m512 low_max = _mm512_load_ps(p.max), high_max = _mm512_load_ps(p.max + kBf16Lanes);
    Bf16Sums low = Bf16NoSums(), high = Bf16NoSums();
    const auto finish = [&](int64_t key, int64_t end) KX_AMX_TARGET {  // of the tile before
      const float* s = scores + key / kAmxSide % 2 * kTile + key % kAmxSide * kColumns;
      uint32_t* to = pairs + key / 2 * kColumns;
      Bf16Probabilities<kColumns>(s, end - key, factor, low_max, to, low);
      Bf16Probabilities<kColumns>(s + kBf16Lanes, end - key, factor, high_max, to + kBf16Lanes,
                                  high);
    };
    Scores(keys, channels, p.q, scores);
    const int64_t steps = channels / kAmxDepth;
    int64_t done = 0;
    for (int64_t j = kAmxSide; j < count; j += kAmxSide) {
      AmxOperand k = AmxRowPanel(keys + j * channels * 2), q = AmxPairs(p.q);
      AmxZeroSums();
      for (int64_t i = 1; i <= steps; ++i, k.at += k.step, q.at += q.step) {
        AmxMultiply(1, k, q);
        const int64_t end = j - kAmxSide + kAmxHalf * i / steps * 2;
        finish(done, end);
        done = end;
      }
      AmxStoreSums(scores + j / kAmxSide % 2 * kTile, kColumns);
    }
    finish(done, count);
    const __m512i most = _mm512_max_epu16(low.most, high.most);
    if (_mm512_cmpgt_epu16_mask(most, _mm512_set1_epi16(kMost)) != 0) return false;
    _mm512_store_ps(p.sum, _mm512_add_ps(_mm512_load_ps(p.sum), low.sum));
    _mm512_store_ps(p.sum + kBf16Lanes,
                    _mm512_add_ps(_mm512_load_ps(p.sum + kBf16Lanes), high.sum));
    return true;
  }

  // A tile of O^T.
  KX_AMX_TARGET static void Shrink(const float* shrink, float* out) {
    const __m512 low = _mm512_load_ps(shrink), high = _mm512_load_ps(shrink + kBf16Lanes);
    for (float* row = out; row < out + kAmxSide * kColumns; row += kColumns) {
      _mm512_store_ps(row, _mm512_mul_ps(_mm512_load_ps(row), low));
      _mm512_store_ps(row + kBf16Lanes, _mm512_mul_ps(_mm512_load_ps(row + kBf16Lanes), high));
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
