#include "compute/cpu/cpu_features.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "compute/cpu/amx.h"
#include "compute/cpu/onednn.h"
#include "compute/cpu/targets.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <hwy/highway.h>
#include <hwy/targets.h>

namespace kontext::cpu {
namespace {

constexpr std::pair<std::string_view, Isa> kIsaNames[] = {
    {"sse4", Isa::kSse4},
    {"avx2", Isa::kAvx2},
    {"avx_vnni", Isa::kAvxVnni},
    {"avx512", Isa::kAvx512},
    {"avx512_vnni", Isa::kAvx512Vnni},
    {"avx512_bf16", Isa::kAvx512Bf16},
    {"amx", Isa::kAmx},
};

// Highway's targets above the limit. It knows nothing of bf16 and AMX; oneDNN is told itself.
int64_t TargetsAbove(Isa limit) {
  if (limit == Isa::kSse4) return HWY_AVX2 | HWY_AVX3;
  if (limit == Isa::kAvx2 || limit == Isa::kAvxVnni) return HWY_AVX3;
  return 0;
}

#if defined(__x86_64__)
bool MadeByIntel() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0, &a, &b, &c, &d) != 0 && b == signature_INTEL_ebx &&
         d == signature_INTEL_edx && c == signature_INTEL_ecx;
}
#endif

Result<CpuFeatures> LimitProcess() {
  const CpuFeatures have = DetectCpuFeatures();
  const char* name = std::getenv("KONTEXT_ISA");
  if (name == nullptr || *name == '\0') return have;
  KX_ASSIGN_OR_RETURN(const Isa limit, ParseIsa(name));
  KX_RETURN_IF_ERROR(onednn::LimitIsa(limit));
  hwy::DisableTargets(TargetsAbove(limit));
  return Limit(have, limit);
}

}  // namespace

CpuFeatures DetectCpuFeatures() {
  CpuFeatures f;
#if defined(__x86_64__)
  const int64_t targets =
      hwy::SupportedTargets();  // also knows whether the system saves the registers
  f.sse4 = (targets & HWY_SSE4) != 0;
  f.avx2 = (targets & HWY_AVX2) != 0;
  f.avx512 = (targets & HWY_AVX3) != 0;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (f.avx2 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) f.avx_vnni = (a & (1u << 4)) != 0;
  if (f.avx512 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
    f.vnni = (c & (1u << 11)) != 0;
    const bool tiles = (d & (1u << 24)) != 0;
    f.amx = tiles && (d & (1u << 22)) != 0 && AllowAmx();
    f.amx_int8 = tiles && (d & (1u << 25)) != 0 && AllowAmx();
    const bool fp16 = (d & (1u << 23)) != 0;  // came with Sapphire Rapids
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) f.bf16 = (a & (1u << 5)) != 0;
    f.slow_bf16 = f.bf16 && fp16 && MadeByIntel();
  }
#endif
  return f;
}

Result<Isa> ParseIsa(std::string_view name) {
  std::string known;
  for (const auto& [isa_name, isa] : kIsaNames) {
    if (name == isa_name) return isa;
    known += (known.empty() ? "" : ", ") + std::string(isa_name);
  }
  return Usage(
      "environment variable KONTEXT_ISA: instruction set \"{}\" is unknown; expected one of {}",
      name, known);
}

CpuFeatures Limit(const CpuFeatures& have, Isa limit) {
  CpuFeatures f = have;
  f.amx = f.amx && limit >= Isa::kAmx;
  f.amx_int8 = f.amx_int8 && limit >= Isa::kAmx;
  f.bf16 = f.bf16 && limit >= Isa::kAvx512Bf16;
  f.slow_bf16 = f.slow_bf16 && limit > Isa::kAvx512Bf16;
  f.vnni = f.vnni && limit >= Isa::kAvx512Vnni;
  f.avx512 = f.avx512 && limit >= Isa::kAvx512;
  f.avx_vnni = f.avx_vnni && limit >= Isa::kAvxVnni;
  f.avx2 = f.avx2 && limit >= Isa::kAvx2;
  return f;
}

std::string NameOf(const CpuFeatures& f) {
  std::string name = f.avx512 ? "avx512" : f.avx2 ? "avx2" : f.sse4 ? "sse4" : "baseline";
  if (f.vnni) name += "+vnni";
  if (NativeBf16(f)) name += "+bf16";
  if (f.amx || f.amx_int8) name += "+amx";
  return name;
}

Int8Path Int8PathFor(const CpuFeatures& features) {
  const bool vnni = features.avx512 && features.vnni;
  if (vnni && features.amx_int8) return Int8Path::kAmx;
  if (vnni) return Int8Path::kAvx512Vnni;
  if (features.avx2 && features.avx_vnni) return Int8Path::kAvxVnni;
  return Int8Path::kMaddubs;
}

Plan PlanFor(const CpuFeatures& features, std::string_view dtype) {
  const bool native = NativeBf16(features);
  Plan plan;
  plan.bf16_activations = dtype == "bf16" || (dtype.empty() && native);
  if (plan.bf16_activations && native) {
    plan.path = features.amx ? ProductPath::kAmx : ProductPath::kLibrary;
  }
  plan.bf16_attention = plan.bf16_activations && native;
  plan.int8 = Int8PathFor(features);
  return plan;
}

Result<CpuFeatures> UsableCpuFeatures() {
  static const Result<CpuFeatures> features = LimitProcess();
  return features;
}

}  // namespace kontext::cpu
