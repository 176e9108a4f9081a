#include "compute/cpu/amx.h"

#include <immintrin.h>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace kontext::cpu {
namespace {

// Intel's software developer's manual, LDTILECFG: palette 1, bytes and rows of each register.
struct alignas(64) Configuration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(Configuration) == 64);

KX_AMX_TARGET void Configure() {
  static constexpr Configuration kWhole;  // not on the stack: GCC 12 thinks that 8 bytes are read
  _tile_loadconfig(&kWhole);
}
KX_AMX_TARGET void Release() { _tile_release(); }

}  // namespace

bool AllowAmx() {
#if defined(__linux__)
  constexpr int64_t kRequestPermission = 0x1023, kTileData = 18;  // asm/prctl.h, since Linux 5.16
  static const bool allowed = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return allowed;
#else
  return false;
#endif
}

AmxRegisters::AmxRegisters() { Configure(); }
AmxRegisters::~AmxRegisters() { Release(); }

}  // namespace kontext::cpu
