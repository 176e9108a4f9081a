// The operands of attention in 8 bits, in the form that the tiles of int8_tile.h read: keys and
// values as row panels, queries as feature blocks.
#ifndef KONTEXT_COMPUTE_CPU_INT8_HEADS_H_
#define KONTEXT_COMPUTE_CPU_INT8_HEADS_H_

#include <cstddef>
#include <cstdint>

#include "compute/cpu/int8_tile.h"
#include "compute/cpu/panels.h"
#include "compute/ops.h"

namespace kontext::cpu {

// One head's keys and values, by blocks of kInt8AttentionKeys keys. Rows past the last key or
// channel are zeros up to the panel's end.
struct Int8Head {
  static constexpr int64_t kKeyPanels = kInt8AttentionKeys / kInt8Rows;
  static constexpr int64_t kKeyQuads = kInt8AttentionKeys / kInt8Depth;
  static_assert(kInt8AttentionKeys % kInt8Rows == 0 && kInt8AttentionKeys % kInt8Depth == 0);

  // Sizes of what the pointers below lead to.
  Int8Head(int64_t keys, int64_t channels)
      : blocks(CeilDiv(keys, kInt8AttentionKeys)),
        quads(CeilDiv(channels, kInt8Depth)),
        panels(CeilDiv(channels, kInt8Rows)) {}
  int64_t KeyPanelBytes() const { return quads * kInt8Rows * kInt8Depth; }
  int64_t KeyBlockBytes() const { return kKeyPanels * KeyPanelBytes(); }
  static constexpr int64_t kValuePanelBytes = kKeyQuads * kInt8Rows * kInt8Depth;
  int64_t ValueBlockBytes() const { return panels * kValuePanelBytes; }
  int64_t Channels() const { return panels * kInt8Rows; }  // with those of the last panel
  // All of it; and the pointers into `memory` on a 64-byte boundary, which holds that much.
  int64_t Bytes() const;
  void Place(std::byte* memory);

  int64_t blocks, quads, panels;  // of keys, of channels, of channels
  float* mean = nullptr;          // [Dh], of the keys
  int8_t* k = nullptr;            // [blocks][32 panels][Dh/4][6][4]: of k - mean
  float* k_scale = nullptr;       // [blocks][192]
  int32_t* k_sums = nullptr;      // [blocks][192]: 128 * sum_d q_k
  int8_t* v = nullptr;            // [blocks][Dh/6 panels][48][6][4]: of v^T
  float* v_scale = nullptr;       // [blocks][Channels()]
};

// Memory of a thread for packing: a row as f32 and int8, or a vector of channels of a block.
int64_t Int8PackBytes(int64_t channels);

// The mean of the keys k [Tk,Dh] of a head; every processor adds in the same order.
void PackMean(const ConstTensorView& k, Int8Head& head);
// Block `block` of a head's keys and values [Tk,Dh].
void PackKeyBlock(const ConstTensorView& k, const ConstTensorView& v, int64_t block,
                  std::byte* scratch, Int8Head& head);
// Queries [begin, begin + 16 * blocks) of q [Tq,Dh] -> digits + 128 [blocks][Dh/4][16][4], and
// their scales [blocks][16]; zeros past the last.
void PackQueryBlocks(const ConstTensorView& q, int64_t begin, int64_t blocks, std::byte* scratch,
                     int8_t* dst, float* scale);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_HEADS_H_
