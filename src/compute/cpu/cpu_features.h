// What the processor can do, and which way of multiplying follows from it.
#ifndef KONTEXT_COMPUTE_CPU_CPU_FEATURES_H_
#define KONTEXT_COMPUTE_CPU_CPU_FEATURES_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace kontext::cpu {

struct CpuFeatures {
  bool sse4 = false;
  bool avx2 = false;      // with FMA and F16C
  bool avx512 = false;    // F, VL, DQ, BW
  bool avx_vnni = false;  // VNNI on AVX2's registers, which processors without AVX-512 have
  bool vnni = false;      // AVX-512 VNNI
  bool bf16 = false;      // AVX-512 BF16
  // That takes four times as long as an f32 instruction for twice the numbers: Intel's since
  // Sapphire Rapids (SPEED.md), where a hypervisor hides AMX. Others' takes the same time.
  bool slow_bf16 = false;
  bool amx = false;       // AMX tiles with BF16, which the system lets this process use
  bool amx_int8 = false;  // the same with INT8
};

// bf16 is multiplied as such: nothing else there is as fast.
inline bool NativeBf16(const CpuFeatures& f) {
  return f.avx512 && f.bf16 && (f.amx || !f.slow_bf16);
}

// Of this processor, by cpuid.
CpuFeatures DetectCpuFeatures();

// The instruction sets that KONTEXT_ISA may name, each with all that come before it.
enum class Isa { kSse4, kAvx2, kAvxVnni, kAvx512, kAvx512Vnni, kAvx512Bf16, kAmx };

// "sse4", "avx2", "avx_vnni", "avx512", "avx512_vnni", "avx512_bf16" or "amx"; anything else is
// kUsage.
Result<Isa> ParseIsa(std::string_view name);
// `have` without what lies above `limit`. Who names avx512_bf16 gets it, slow or not.
CpuFeatures Limit(const CpuFeatures& have, Isa limit);

// How a Linear multiplies.
enum class ProductPath {
  kWiden,    // our own f32 kernel on 16-bit or f32 weights where they are
  kLibrary,  // oneDNN on weights prepacked in the activations' dtype
  kAmx,      // our own bf16 kernel on weights where they are
};
// How a product in 8 bits multiplies; all give the same sums, bit for bit.
enum class Int8Path {
  kMaddubs,     // vpmaddubsw, from SSE4 to AVX-512
  kAvxVnni,     // vpdpbusd on 32 bytes
  kAvx512Vnni,  // vpdpbusd on 64 bytes
  kAmx,         // tdpbssd, for products over multiples of 64 columns; all else as kAvx512Vnni
};
Int8Path Int8PathFor(const CpuFeatures& features);

// What a backend made for `dtype` ("", "bf16", "f32") does on such a processor.
// (PlanFor never joins f32 to kLibrary; a test does, to run that path on any processor.)
struct Plan {
  bool bf16_activations = false;
  ProductPath path = ProductPath::kWiden;
  bool bf16_attention = false;  // bf16 operands are multiplied as such: AVX512_BF16
  Int8Path int8 = Int8Path::kMaddubs;
};
Plan PlanFor(const CpuFeatures& features, std::string_view dtype);

// "avx512+vnni": for tables and recipes, so only what is used.
std::string NameOf(const CpuFeatures& features);

// The features to use in this process: the processor's, limited by the environment's KONTEXT_ISA.
// The first call also sets the limit for Highway and oneDNN, which keep it for the process; so all
// calls answer the same.
Result<CpuFeatures> UsableCpuFeatures();

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_CPU_FEATURES_H_
