#include "model/few_step.h"

#include <gtest/gtest.h>

namespace kontext {
namespace {

const char* NameOf(const char* path) {
  const FewStep* few = FewStepOf(path);
  return few == nullptr ? "none" : few->name;
}

TEST(FewStep, IsToldByTheFilesName) {
  EXPECT_STREQ(NameOf("FLUX.1-Turbo-Alpha.safetensors"), "FLUX.1-Turbo-Alpha");
  EXPECT_STREQ(NameOf("loras/flux.1_turbo_alpha-8steps-fp16.safetensors"), "FLUX.1-Turbo-Alpha");
  EXPECT_STREQ(NameOf("Hyper-FLUX.1-dev-8steps-lora.safetensors"), "Hyper-FLUX.1-dev-8steps");
  EXPECT_STREQ(NameOf("/a/Hyper-FLUX.1-dev-16steps-lora.safetensors"), "Hyper-FLUX.1-dev-16steps");
}

TEST(FewStep, OfAFileWithoutANameOfItsOwnByItsFolder) {
  EXPECT_STREQ(NameOf("FLUX.1-Turbo-Alpha/diffusion_pytorch_model.safetensors"),
               "FLUX.1-Turbo-Alpha");
  EXPECT_STREQ(NameOf("/c/models--alimama-creative--FLUX.1-Turbo-Alpha/snapshots/0f/"
                      "diffusion_pytorch_model.safetensors"),
               "FLUX.1-Turbo-Alpha");
  EXPECT_STREQ(NameOf("/c/snapshots/diffusion_pytorch_model.safetensors"), "none");
}

TEST(FewStep, OthersAreLeftAlone) {
  EXPECT_STREQ(NameOf("FLUX.1-Turbo-Alpha/ink.safetensors"), "none");
  EXPECT_STREQ(NameOf("turbo.safetensors"), "none");
  EXPECT_STREQ(NameOf("Hyper-SDXL-8steps-lora.safetensors"), "none");
  EXPECT_STREQ(NameOf(""), "none");
}

TEST(FewStep, HasItsMakersNumbers) {
  const FewStep* hyper = FewStepOf("Hyper-FLUX.1-dev-16steps-lora.safetensors");
  ASSERT_NE(hyper, nullptr);
  EXPECT_EQ(hyper->steps, 16);
  EXPECT_EQ(hyper->guidance, 3.5f);
  EXPECT_EQ(hyper->strength, 0.125f);
}

}  // namespace
}  // namespace kontext
