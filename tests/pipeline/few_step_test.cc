// A LoRA for few steps on the mini model: whose numbers an edit takes, and what the recipe says.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "compute/registry.h"
#include "io/safetensors.h"
#include "pipeline/golden_case.h"
#include "scratch_folder.h"
#include "weights/random_source.h"

namespace kontext::testing {
namespace {

class FewStepTest : public ::testing::Test {
 protected:
  FewStepTest() {
    request_.prompt = "x";
    request_.size = Size{32, 32};
    request_.seed = 1;
  }
  // The recipe of an edit with a LoRA of rank 2 on one product, in a file of that name.
  nlohmann::json RecipeWith(const std::string& name, std::optional<float> strength) {
    const std::string path = folder_.path() + "/" + name;
    const std::vector<float> down = FillUniform("down", 2 * 256), up = FillUniform("up", 256 * 2);
    EXPECT_TRUE(
        WriteSafetensors(
            path, {{"double_blocks.0.img_attn.proj.lora_A.weight", ViewOf(down.data(), {2, 256})},
                   {"double_blocks.0.img_attn.proj.lora_B.weight", ViewOf(up.data(), {256, 2})}})
            .ok());
    const auto ops = MakeOps({"cpu", "f32"});
    const auto model =
        OpenModel({.model = KX_SOURCE_DIR "/models/mini", .loras = {{path, strength}}}, **ops);
    EXPECT_TRUE(model.ok()) << model.message();
    if (!model.ok()) return {};
    notes_ = (*model)->adapters.Notes();
    const auto edits = RunEdit(**model, **ops, request_, 0, 1, {});
    EXPECT_TRUE(edits.ok()) << edits.message();
    return edits.ok() ? nlohmann::json::parse(edits->front().recipe) : nlohmann::json();
  }
  size_t NotesOfMakers() const {
    return static_cast<size_t>(std::count_if(notes_.begin(), notes_.end(), [](const auto& note) {
      return note.find("as its makers say") != std::string::npos;
    }));
  }

  ScratchFolder folder_;
  EditRequest request_;
  std::vector<std::string> notes_;
};

TEST_F(FewStepTest, BringsItsMakersNumbers) {
  const auto recipe = RecipeWith("Hyper-FLUX.1-dev-8steps-lora.safetensors", std::nullopt);
  EXPECT_EQ(recipe["steps"], 8);
  EXPECT_EQ(recipe["guidance"], 3.5);
  EXPECT_EQ(recipe["loras"][0]["strength"], 0.125);
  EXPECT_EQ(recipe["loras"][0]["few_step"], "Hyper-FLUX.1-dev-8steps");
  EXPECT_EQ(NotesOfMakers(), 1u);
}

TEST_F(FewStepTest, WhatIsAskedForGoesBefore) {
  request_.steps = 2;
  request_.guidance = 2.0f;
  const auto recipe = RecipeWith("FLUX.1-Turbo-Alpha.safetensors", 0.5f);
  EXPECT_EQ(recipe["steps"], 2);
  EXPECT_EQ(recipe["guidance"], 2.0);
  EXPECT_EQ(recipe["loras"][0]["strength"], 0.5);
}

TEST_F(FewStepTest, OthersAndStrengthZeroChangeNothing) {
  for (const auto& [name, strength] :
       {std::pair<const char*, std::optional<float>>{"ink.safetensors", std::nullopt},
        {"FLUX.1-Turbo-Alpha.safetensors", 0.0f}}) {
    const auto recipe = RecipeWith(name, strength);
    EXPECT_EQ(recipe["steps"], 28) << name;
    EXPECT_EQ(recipe["guidance"], 2.5) << name;
    EXPECT_EQ(recipe["loras"][0]["strength"], strength.value_or(1.0f)) << name;
    EXPECT_EQ(NotesOfMakers(), 0u) << name;
  }
}

}  // namespace
}  // namespace kontext::testing
