#include "compute/cpu/int8_amx.h"

#include <immintrin.h>

namespace kontext::cpu {
namespace {

struct Amx {
  KX_AMX_TARGET static void Multiply(const Int8AmxTile& t, int64_t steps, bool add) {
    constexpr int64_t kRowBytes = kAmxRowBytes, kRegister = kInt8AmxRows * kRowBytes;
    if (add) {
      _tile_loadd(0, t.sums[0][0], kRowBytes);
      _tile_loadd(1, t.sums[0][1], kRowBytes);
      _tile_loadd(2, t.sums[1][0], kRowBytes);
      _tile_loadd(3, t.sums[1][1], kRowBytes);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    for (int64_t i = 0; i < steps * kRegister; i += kRegister) {
      _tile_loadd(4, t.a[0] + i, kRowBytes);
      _tile_loadd(6, t.b[0] + i, kRowBytes);
      _tile_dpbssd(0, 4, 6);
      _tile_loadd(7, t.b[1] + i, kRowBytes);
      _tile_dpbssd(1, 4, 7);
      _tile_loadd(5, t.a[1] + i, kRowBytes);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
    _tile_stored(0, t.sums[0][0], kRowBytes);
    _tile_stored(1, t.sums[0][1], kRowBytes);
    _tile_stored(2, t.sums[1][0], kRowBytes);
    _tile_stored(3, t.sums[1][1], kRowBytes);
  }
};

}  // namespace

void ComputeTilesAmx(const Int8Tiles& tiles) {
  const AmxRegisters registers;
  ComputeTilesWith<Amx>(tiles);
}

}  // namespace kontext::cpu
