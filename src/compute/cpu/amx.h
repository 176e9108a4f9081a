// The tile registers of AMX: eight of 16 rows of 64 bytes.
#ifndef KONTEXT_COMPUTE_CPU_AMX_H_
#define KONTEXT_COMPUTE_CPU_AMX_H_

#include <cstdint>

namespace kontext::cpu {

// What uses them must be compiled for them, and is only called where PlanFor allows it.
#define KX_AMX_TARGET                                                         \
  __attribute__((                                                             \
      target("amx-tile,amx-bf16,amx-int8,avx512f,avx512bw,avx512vl,avx512dq," \
             "avx512bf16,avx512vnni")))

constexpr int64_t kAmxRowBytes = 64;

// Asks the system for the registers. False where it does not know them.
bool AllowAmx();

// Whole registers for the calling thread, as long as this lives; each thread has its own, and
// oneDNN sets others.
class AmxRegisters {
 public:
  AmxRegisters();
  ~AmxRegisters();
  AmxRegisters(const AmxRegisters&) = delete;
  AmxRegisters& operator=(const AmxRegisters&) = delete;
};

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_AMX_H_
