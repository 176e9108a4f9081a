#include "compute/cpu/int8_amx.h"

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kontext::cpu {
namespace {

// Intel's software developer's manual, LDTILECFG: palette 1, rows and bytes of each register.
struct alignas(64) Registers {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {kInt8Rows,    kInt8Rows, kInt8Rows, kInt8Rows,  // 0..3: sums
                      kInt8Rows,    kInt8Rows,                        // 4, 5: activations
                      kInt8Features};                                 // 6: weights
};
static_assert(sizeof(Registers) == 64);

// GCC's macros want the registers' numbers as written.
struct Amx {
  KX_AMX_TARGET static void Zero() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  KX_AMX_TARGET static void LoadWeights(const int8_t* b) { _tile_loadd(6, b, 64); }
  template <int kPanel>
  KX_AMX_TARGET static void Multiply(const int8_t* a) {
    if constexpr (kPanel == 0) {
      _tile_loadd(4, a, 64);
      _tile_dpbssd(0, 4, 6);
    } else if constexpr (kPanel == 1) {
      _tile_loadd(5, a, 64);
      _tile_dpbssd(1, 5, 6);
    } else if constexpr (kPanel == 2) {
      _tile_loadd(4, a, 64);
      _tile_dpbssd(2, 4, 6);
    } else {
      _tile_loadd(5, a, 64);
      _tile_dpbssd(3, 5, 6);
    }
  }
  template <int kPanel>
  KX_AMX_TARGET static void Store(int32_t* sums) {
    if constexpr (kPanel == 0) {
      _tile_stored(0, sums, 64);
    } else if constexpr (kPanel == 1) {
      _tile_stored(1, sums, 64);
    } else if constexpr (kPanel == 2) {
      _tile_stored(2, sums, 64);
    } else {
      _tile_stored(3, sums, 64);
    }
  }
};

}  // namespace

bool AllowAmx() {
  constexpr int64_t kRequestPermission = 0x1023, kTileData = 18;  // asm/prctl.h, since Linux 5.16
  static const bool allowed = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return allowed;
}

KX_AMX_TARGET void ComputeTilesAmx(const Int8Tiles& tiles) {
  static constexpr Registers kRegisters;  // not on the stack: GCC 12 thinks that 8 bytes are read
  _tile_loadconfig(&kRegisters);          // each thread has its own, and oneDNN sets others
  ComputeTilesWith<Amx>(tiles);
  _tile_release();
}

}  // namespace kontext::cpu

#else

namespace kontext::cpu {

bool AllowAmx() { return false; }
void ComputeTilesAmx(const Int8Tiles& /*tiles*/) {}

}  // namespace kontext::cpu

#endif
