// The int8 tiles on processors with instructions made for them. Each must only be called where
// Int8PathFor allows it (kAmx included).
#ifndef KONTEXT_COMPUTE_CPU_INT8_VNNI_H_
#define KONTEXT_COMPUTE_CPU_INT8_VNNI_H_

#include "compute/cpu/int8_tile.h"

namespace kontext::cpu {

void ComputeTilesAvxVnni(const Int8Tiles& tiles);     // vpdpbusd on 32 bytes
void ComputeTilesAvx512Vnni(const Int8Tiles& tiles);  // vpdpbusd on 64 bytes

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_VNNI_H_
