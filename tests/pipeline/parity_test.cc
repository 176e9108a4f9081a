// Parity with Diffusers on the mini model: every stage of every golden, observed beside its bound.
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "pipeline/golden_case.h"

namespace kontext::testing {
namespace {

constexpr double kMaxNmse = 1e-8;        // f32 latents against f32 Diffusers
constexpr double kMinWithinOne = 0.999;  // share of pixel values within 1/255
constexpr double kMaxPsnrLoss = 0.5;     // dB of mean bf16 PSNR below Diffusers' own bf16

// One stage of a run against its golden, if both have it.
void Compare(const GoldenRun& run, const Checkpoint& golden, const std::string& ours,
             const std::string& theirs) {
  const auto want = golden.tensors().find(theirs);
  if (want == golden.tensors().end()) return;
  ASSERT_TRUE(run.recorder.Has(ours)) << ours;
  const double nmse = Nmse(run.recorder.At(ours), want->second);
  std::printf("    %-22s NMSE %.1e (bound %.0e)\n", theirs.c_str(), nmse, kMaxNmse);
  EXPECT_LE(nmse, kMaxNmse) << theirs;
}

void CheckF32(const std::string& backend) {
  const MiniSetup setup = OpenMini(backend, "f32");
  ASSERT_TRUE(setup.model != nullptr);
  for (const GoldenCase& c : GoldenCases()) {
    SCOPED_TRACE(backend + " " + c.name);
    std::printf("  %s, %s f32\n", c.name.c_str(), backend.c_str());
    const GoldenRun run = RunGolden(setup, c);
    const Checkpoint golden = GoldenTensors(c.name);
    Compare(run, golden, "prompt.states", "t5.states");
    Compare(run, golden, "prompt.pooled", "clip.pooled");
    Compare(run, golden, "noise", "noise");
    for (int step = 1; step <= *c.request.steps; ++step) {
      Compare(run, golden, "step" + std::to_string(step - 1) + ".latents",
              "step." + std::to_string(step));
    }
    const ConstTensorView pixels = golden.tensors().at("pixels");
    const double near = WithinOne(run.edited.picture.data, pixels);
    std::printf("    %-22s %.4f %% within 1/255 (bound %.1f %%), %.1f dB\n", "pixels", 100 * near,
                100 * kMinWithinOne, Psnr(run.edited.picture.data, pixels));
    EXPECT_GE(near, kMinWithinOne);
  }
}

TEST(Parity, ReferenceF32) { CheckF32("reference"); }
TEST(Parity, CpuF32) { CheckF32("cpu"); }

TEST(Parity, CpuBf16LosesNoMoreThanDiffusers) {
  const MiniSetup setup = OpenMini("cpu", "bf16");
  ASSERT_TRUE(setup.model != nullptr);
  double ours = 0, theirs = 0;
  const std::vector<GoldenCase> cases = GoldenCases();
  for (const GoldenCase& c : cases) {
    const GoldenRun run = RunGolden(setup, c);
    const Checkpoint golden = GoldenTensors(c.name);
    const double psnr = Psnr(run.edited.picture.data, golden.tensors().at("pixels"));
    std::printf("  %-22s bf16 against f32: ours %.2f dB, Diffusers' %.2f dB\n", c.name.c_str(),
                psnr, c.bf16_psnr_db);
    ours += psnr / static_cast<double>(cases.size());
    theirs += c.bf16_psnr_db / static_cast<double>(cases.size());
  }
  std::printf("  mean: ours %.2f dB, Diffusers' %.2f dB, bound %.2f dB\n", ours, theirs,
              theirs - kMaxPsnrLoss);
  EXPECT_GE(ours, theirs - kMaxPsnrLoss);
}

// Noise is drawn as torch draws it; its last bit depends on torch's SIMD path (spec architecture
// 13).
TEST(Parity, NoiseWithinTwoMillionths) {
  const MiniSetup setup = OpenMini("cpu", "f32");
  ASSERT_TRUE(setup.model != nullptr);
  const GoldenCase c = GoldenCases().front();
  const GoldenRun run = RunGolden(setup, c);
  const Checkpoint golden = GoldenTensors(c.name);
  const float* want = golden.tensors().at("noise").As<float>();
  double worst = 0;
  for (size_t i = 0; i < run.recorder.At("noise").size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(run.recorder.At("noise")[i]) -
                                     static_cast<double>(want[i])));
  }
  std::printf("  noise: worst difference %.1e, bound 2e-6\n", worst);
  EXPECT_LE(worst, 2e-6);
}

}  // namespace
}  // namespace kontext::testing
