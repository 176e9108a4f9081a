// The "cpu" backend: oneDNN for convolutions and for products where the processor multiplies bf16,
// our own Highway kernels for the rest; OpenMP threads, as many as the caller's
// omp_get_max_threads().
#ifndef KONTEXT_COMPUTE_CPU_CPU_H_
#define KONTEXT_COMPUTE_CPU_CPU_H_

#include <memory>
#include <string>

#include "base/status.h"
#include "compute/ops.h"

namespace kontext {

// dtype: "bf16", "f32", or empty: bf16 where the processor multiplies it natively, f32 elsewhere.
// The environment's KONTEXT_ISA (sse4, avx2, avx512, avx512_vnni, avx512_bf16, amx) limits the
// instructions used in this process; an unknown name is kUsage.
Result<std::unique_ptr<Ops>> MakeCpuOps(const std::string& dtype);

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_CPU_CPU_H_
