// The inner loops of the int8 product: tiles of 6 rows of activations by 16 features, sums in
// int32.
//
//   row panel     6 rows   [K/4][6][4]    of the activations; for AMX see int8_amx.h
//   feature block 16 rows  [K/4][16][4]   of the weights: PackedInt8's order
//
// x86 multiplies unsigned by signed bytes. With VNNI the activations are unsigned, a + 128 from the
// packing on, and sums begin at -128 times the features' own sums: nothing is done to weights as
// they pass. AVX2 has no better instruction than vpmaddubsw, whose sum of two products saturates at
// 16 bits. Activations are therefore scaled so that no two neighbours, at even and odd k, add up to
// more than 128 (ops.h, Precision): with weights as the unsigned ones, w + 128, 255 * 128 = 32640
// fits, and every sum is exact on every processor; 128 times the sum of a row's activations is
// taken off at the end. Attention makes both operands, so that no way but AMX's, which it does not
// take, has anything to add: b is unsigned in memory and a signed.
#ifndef KONTEXT_COMPUTE_CPU_INT8_TILE_H_
#define KONTEXT_COMPUTE_CPU_INT8_TILE_H_

#include <cstdint>

#include "compute/cpu/cpu_features.h"

namespace kontext::cpu {

constexpr int64_t kInt8Rows = 6;       // of a row panel
constexpr int64_t kInt8Features = 16;  // of a feature block
constexpr int64_t kInt8Depth = 4;      // columns that lie side by side
constexpr int64_t kInt8AmxRows = 16;   // of a row panel for AMX

// `panels` row panels by `blocks` feature blocks over one slice of k.
struct Int8Tiles {
  const int8_t* a = nullptr;  // first row panel, at the slice; for kAmx as int8_amx.h has it
  int64_t a_stride = 0;       // bytes from panel to panel
  const int8_t* b = nullptr;  // first feature block, at the slice
  int64_t b_stride = 0;       // bytes from block to block
  int64_t panels = 0, blocks = 0;
  int64_t quads = 0;        // of the slice: k / 4
  bool unsigned_b = false;  // b as in attention
  // [blocks][panels][6][16], for kAmx [blocks][panels][16][16]: sum_k a * b; where b is signed, for
  // kMaddubs sum_k a * (b + 128).
  int32_t* sums = nullptr;
};
void ComputeInt8Tiles(Int8Path path, const Int8Tiles& tiles);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_TILE_H_
