// The int8 tiles on AMX, whose registers hold 16 rows of 64 bytes.
//
// An instruction multiplies rows of 64 columns of activations by 64 columns of 16 features, signed
// by signed. The weights lie as it wants them (PackedInt8: 16 rows of [16][4] bytes are 64
// columns); activations must have 64 columns of a row side by side:
//   row panel     6 rows   int8 [K/64][6][64]
// So K is a multiple of 64, which all of FLUX's are, and sums are those of a * w, nothing to be
// taken off. Attention packs its keys and values by blocks of any count; it keeps to vpdpbusd.
#ifndef KONTEXT_COMPUTE_CPU_INT8_AMX_H_
#define KONTEXT_COMPUTE_CPU_INT8_AMX_H_

#include <cstdint>

#include "compute/cpu/int8_tile.h"

namespace kontext::cpu {

constexpr int64_t kAmxDepth = 64;  // columns of an instruction
constexpr int64_t kAmxPanels = 4;  // that a feature block meets while it is in its register

// What is inlined into the loops must be compiled for the same processor as they are. The
// instructions themselves are only where they are written: the loops over another unit run
// everywhere.
#if defined(__x86_64__)
#define KX_AMX_TARGET __attribute__((target("amx-tile,amx-int8")))
#else
#define KX_AMX_TARGET
#endif

// Asks the system for the registers. False where it does not know them.
bool AllowAmx();

// Only where Int8PathFor allows it.
void ComputeTilesAmx(const Int8Tiles& tiles);

// The loops, over a unit that has the registers: sums of up to four panels, and the weights of one
// step. The one that multiplies is AMX itself; a test has one in plain loops.
template <class Unit, int kPanels>
KX_AMX_TARGET void ComputePanelsWith(const Int8Tiles& t, const int8_t* a, const int8_t* b,
                                     int32_t* sums) {
  static_assert(kPanels >= 1 && kPanels <= kAmxPanels);
  constexpr int64_t kStep = kAmxDepth / kInt8Depth;  // quads
  Unit::Zero();
  for (int64_t i = 0; i < t.quads; i += kStep) {
    Unit::LoadWeights(b);
    Unit::template Multiply<0>(a);
    if constexpr (kPanels > 1) Unit::template Multiply<1>(a + t.a_stride);
    if constexpr (kPanels > 2) Unit::template Multiply<2>(a + 2 * t.a_stride);
    if constexpr (kPanels > 3) Unit::template Multiply<3>(a + 3 * t.a_stride);
    a += kInt8Rows * kAmxDepth;
    b += kInt8Features * kAmxDepth;
  }
  constexpr int64_t kSums = kInt8Rows * kInt8Features;
  Unit::template Store<0>(sums);
  if constexpr (kPanels > 1) Unit::template Store<1>(sums + kSums);
  if constexpr (kPanels > 2) Unit::template Store<2>(sums + 2 * kSums);
  if constexpr (kPanels > 3) Unit::template Store<3>(sums + 3 * kSums);
}

template <class Unit>
KX_AMX_TARGET void ComputeTilesWith(const Int8Tiles& t) {
  for (int64_t j = 0; j < t.blocks; ++j) {
    const int8_t* b = t.b + j * t.b_stride;
    for (int64_t i = 0; i < t.panels; i += kAmxPanels) {
      const int8_t* a = t.a + i * t.a_stride;
      int32_t* sums = t.sums + (j * t.panels + i) * kInt8Rows * kInt8Features;
      switch (t.panels - i) {
        case 1:
          ComputePanelsWith<Unit, 1>(t, a, b, sums);
          break;
        case 2:
          ComputePanelsWith<Unit, 2>(t, a, b, sums);
          break;
        case 3:
          ComputePanelsWith<Unit, 3>(t, a, b, sums);
          break;
        default:
          ComputePanelsWith<Unit, 4>(t, a, b, sums);
      }
    }
  }
}

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_AMX_H_
