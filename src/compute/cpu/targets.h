// Which instruction sets the SIMD files are compiled for: SSE4, AVX2 and AVX-512. The others
// (SSSE3, the special forms of AVX-512, Highway's scalar code) gain us nothing, and each costs a
// whole compilation of every file. SSE4 is therefore the least this backend runs on: MakeCpuOps
// refuses anything older. Included before <hwy/foreach_target.h>.
#ifndef KONTEXT_COMPUTE_CPU_TARGETS_H_
#define KONTEXT_COMPUTE_CPU_TARGETS_H_

#if defined(__x86_64__)
#define HWY_BASELINE_TARGETS HWY_SSE4
#define HWY_DISABLED_TARGETS (HWY_SCALAR | HWY_EMU128 | HWY_SSSE3 | HWY_AVX3_DL)
#endif

#endif  // KONTEXT_COMPUTE_CPU_TARGETS_H_
