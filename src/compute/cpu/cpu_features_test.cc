#include "compute/cpu/cpu_features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kontext::cpu {
namespace {

CpuFeatures FromBits(unsigned bits) {
  CpuFeatures f;
  f.sse4 = (bits & 1u) != 0;
  f.avx2 = (bits & 2u) != 0;
  f.avx512 = (bits & 4u) != 0;
  f.vnni = (bits & 8u) != 0;
  f.bf16 = (bits & 16u) != 0;
  f.amx = (bits & 32u) != 0;
  f.avx_vnni = (bits & 64u) != 0;
  f.amx_int8 = (bits & 128u) != 0;
  f.slow_bf16 = (bits & 256u) != 0;
  return f;
}

unsigned Bits(const CpuFeatures& f) {
  return (f.sse4 ? 1u : 0u) | (f.avx2 ? 2u : 0u) | (f.avx512 ? 4u : 0u) | (f.vnni ? 8u : 0u) |
         (f.bf16 ? 16u : 0u) | (f.amx ? 32u : 0u) | (f.avx_vnni ? 64u : 0u) |
         (f.amx_int8 ? 128u : 0u) | (f.slow_bf16 ? 256u : 0u);
}

TEST(CpuFeaturesTest, PlanOfEveryProcessor) {
  for (unsigned bits = 0; bits < 512; ++bits) {
    const CpuFeatures f = FromBits(bits);
    // bf16 products need AVX-512 and its bf16; AMX is then the better way, and the only one where
    // that bf16 is slow.
    const bool slow = (bits & 256u) != 0 && (bits & 32u) == 0;
    const bool native = (bits & 20u) == 20u && !slow, amx = native && (bits & 32u) != 0;
    const ProductPath path = amx      ? ProductPath::kAmx
                             : native ? ProductPath::kLibrary
                                      : ProductPath::kWiden;
    const Plan automatic = PlanFor(f, ""), bf16 = PlanFor(f, "bf16"), f32 = PlanFor(f, "f32");
    EXPECT_EQ(automatic.bf16_activations, native) << bits;
    EXPECT_TRUE(bf16.bf16_activations) << bits;
    EXPECT_FALSE(f32.bf16_activations) << bits;
    EXPECT_EQ(automatic.path, path) << bits;
    EXPECT_EQ(bf16.path, path) << bits;
    EXPECT_EQ(f32.path, ProductPath::kWiden) << bits;
    EXPECT_EQ(bf16.bf16_attention, native) << bits;
    EXPECT_EQ(automatic.bf16_attention, native) << bits;
    EXPECT_FALSE(f32.bf16_attention) << bits;
    // Products in 8 bits: the widest registers that can; whatever the dtype of activations.
    const Int8Path int8 = (bits & 140u) == 140u ? Int8Path::kAmx
                          : (bits & 12u) == 12u ? Int8Path::kAvx512Vnni
                          : (bits & 66u) == 66u ? Int8Path::kAvxVnni
                                                : Int8Path::kMaddubs;
    for (const Plan& plan : {automatic, bf16, f32}) EXPECT_EQ(plan.int8, int8) << bits;
  }
}

TEST(CpuFeaturesTest, NamesSayWhatIsUsed) {
  constexpr unsigned kSlow = 1u | 2u | 4u | 8u | 16u | 64u | 256u;
  EXPECT_EQ(NameOf(FromBits(kSlow)), "avx512+vnni");
  EXPECT_EQ(NameOf(FromBits(kSlow & ~256u)), "avx512+vnni+bf16");
  EXPECT_EQ(NameOf(FromBits(kSlow | 32u | 128u)), "avx512+vnni+bf16+amx");
}

TEST(CpuFeaturesTest, LimitTakesAwayWhatIsAbove) {
  constexpr std::pair<const char*, unsigned> kKept[] = {
      {"sse4", 1u},         {"avx2", 3u},         {"avx_vnni", 67u}, {"avx512", 71u},
      {"avx512_vnni", 79u}, {"avx512_bf16", 95u}, {"amx", 511u},
  };
  for (const auto& [name, kept] : kKept) {
    const Result<Isa> isa = ParseIsa(name);
    ASSERT_TRUE(isa.ok()) << isa.status().message();
    for (unsigned bits = 0; bits < 512; ++bits) {
      EXPECT_EQ(Bits(Limit(FromBits(bits), *isa)), bits & kept) << name << " of " << bits;
    }
  }
}

TEST(CpuFeaturesTest, UnknownIsaListsTheKnown) {
  for (const char* name : {"", "avx", "AVX2", "avx2 ", "neon"}) {
    const Result<Isa> isa = ParseIsa(name);
    ASSERT_FALSE(isa.ok()) << name;
    EXPECT_EQ(isa.status().code(), Code::kUsage);
    EXPECT_THAT(isa.status().message(),
                testing::HasSubstr("expected one of sse4, avx2, avx_vnni, avx512"));
  }
}

TEST(CpuFeaturesTest, DetectedSetsContainEachOther) {
  const CpuFeatures f = DetectCpuFeatures();
  EXPECT_TRUE(f.sse4 || !f.avx2);
  EXPECT_TRUE(f.avx2 || !(f.avx512 || f.avx_vnni));
  EXPECT_TRUE(f.bf16 || !f.slow_bf16);
  EXPECT_TRUE(f.avx512 || !(f.vnni || f.bf16 || f.amx || f.amx_int8));
}

}  // namespace
}  // namespace kontext::cpu
