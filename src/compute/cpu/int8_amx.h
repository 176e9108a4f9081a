// The int8 tiles on AMX, whose registers hold 16 rows of 64 bytes.
//
// An instruction multiplies 16 rows of 64 columns of activations by 64 columns of 16 features,
// signed by signed. The weights lie as it wants them (PackedInt8: 16 rows of [16][4] bytes are 64
// columns); activations must have 64 columns of a row side by side:
//   row panel     16 rows  int8 [K/64][16][64]
// So K is a multiple of 64, which all of FLUX's are, and sums are those of a * w, nothing to be
// taken off.
#ifndef KONTEXT_COMPUTE_CPU_INT8_AMX_H_
#define KONTEXT_COMPUTE_CPU_INT8_AMX_H_

#include <algorithm>
#include <cstdint>

#include "compute/cpu/amx.h"
#include "compute/cpu/int8_tile.h"

namespace kontext::cpu {

constexpr int64_t kInt8AmxDepth = 64;  // columns of an instruction

// Only where Int8PathFor allows it.
void ComputeTilesAmx(const Int8Tiles& tiles);

// Two row panels by two feature blocks. Where there is but one of either, the second is the first
// again, and its sums go where nobody looks.
struct Int8AmxTile {
  const int8_t *a[2], *b[2];
  int32_t* sums[2][2];  // [panel][block], [16][16] each
};

// The loops, over a unit that has the registers: Unit::Multiply(tile, steps, add) multiplies
// `steps` times 64 columns of a tile, and adds to the sums that are there or begins them. A test
// has a unit in plain loops.
//
// 64 features by 512 columns (32 KiB) stay in the first cache while the row panels pass.
template <class Unit>
void ComputeTilesWith(const Int8Tiles& t) {
  constexpr int64_t kBlocks = 4, kPass = 512 / kInt8Depth;
  constexpr int64_t kSums = kInt8AmxRows * kInt8Features;
  alignas(64) int32_t nowhere[kSums];
  for (int64_t first = 0; first < t.blocks; first += kBlocks) {
    const int64_t end = std::min(first + kBlocks, t.blocks);
    for (int64_t quad = 0; quad < t.quads; quad += kPass) {
      const int64_t quads = std::min(kPass, t.quads - quad);
      for (int64_t i = 0; i < t.panels; i += 2) {
        for (int64_t j = first; j < end; j += 2) {
          const auto sums = [&](int64_t panel, int64_t block) {
            const bool there = panel < t.panels && block < end;
            return there ? t.sums + (block * t.panels + panel) * kSums : nowhere;
          };
          const int8_t* a = t.a + i * t.a_stride + quad * kInt8AmxRows * kInt8Depth;
          const int8_t* b = t.b + j * t.b_stride + quad * kInt8Features * kInt8Depth;
          const Int8AmxTile tile{
              {a, i + 1 < t.panels ? a + t.a_stride : a},
              {b, j + 1 < end ? b + t.b_stride : b},
              {{sums(i, j), sums(i, j + 1)}, {sums(i + 1, j), sums(i + 1, j + 1)}}};
          Unit::Multiply(tile, quads * kInt8Depth / kInt8AmxDepth, quad > 0);
        }
      }
    }
  }
}

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_AMX_H_
