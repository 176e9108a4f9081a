#include "edit/sizes.h"

#include <gtest/gtest.h>

#include "edit/plan.h"
#include "model/flux_kontext.h"

namespace kontext {
namespace {

// spec architecture 3.1, the checked pairs.
TEST(Sizes, NearestPreferredIsBfls) {
  const auto sizes = FluxKontextDefaults().preferred_sizes;
  const auto nearest = [&](int w, int h) { return NearestPreferred({w, h}, sizes); };
  EXPECT_EQ(nearest(1920, 1080), (Size{1392, 752}));
  EXPECT_EQ(nearest(1080, 1920), (Size{752, 1392}));
  EXPECT_EQ(nearest(4000, 3000), (Size{1184, 880}));
  EXPECT_EQ(nearest(3000, 2000), (Size{1248, 832}));
  EXPECT_EQ(nearest(640, 480), (Size{1184, 880}));
  EXPECT_EQ(nearest(512, 512), (Size{1024, 1024}));
  EXPECT_EQ(nearest(1000, 1001), (Size{1024, 1024}));
  EXPECT_EQ(nearest(3440, 1440), (Size{1568, 672}));
  EXPECT_EQ(nearest(100, 1000), (Size{672, 1568}));
  EXPECT_EQ(SquareOf(sizes), (Size{1024, 1024}));
}

// spec architecture 3.4 and product 2: Diffusers turns 672x1568 into 656x1552.
TEST(Sizes, DiffusersRescalesToOneMegapixel) {
  const int64_t area = 1024 * 1024;
  EXPECT_EQ(DiffusersSize({512, 512}, area, 16), (Size{1024, 1024}));
  EXPECT_EQ(DiffusersSize({1280, 720}, area, 16), (Size{1360, 768}));
  EXPECT_EQ(DiffusersSize({768, 1344}, area, 16), (Size{768, 1344}));
  EXPECT_EQ(DiffusersSize({672, 1568}, area, 16), (Size{656, 1552}));
}

TEST(Sizes, FlooredRaisedAndScaled) {
  EXPECT_EQ(FlooredTo({1000, 17}, 16), (Size{992, 16}));
  EXPECT_EQ(FlooredTo({5, 5}, 16), (Size{16, 16}));
  EXPECT_EQ(RaisedTo({1000, 16}, 16), (Size{1008, 16}));
  EXPECT_EQ(ScaledToArea({200, 100}, 128 * 128, 16), (Size{176, 96}));
}

Pixels Blank(int w, int h) {
  return {w, h, 3, std::vector<uint8_t>(static_cast<size_t>(w) * static_cast<size_t>(h) * 3)};
}

ModelDefaults Flux() {
  ModelDefaults m;
  m.preferred_sizes = FluxKontextDefaults().preferred_sizes;
  return m;
}

// likes.md, the rows about sizes, steps and guidance; precedence of product 2.
TEST(Plan, EveryLikeHasItsSizesStepsAndGuidance) {
  EditRequest r;
  r.images = {Blank(1000, 500)};
  const auto plan = [&](Like like) {
    r.like = like;
    return *PlanEdit(r, Flux(), EditLimits{});
  };
  const EditPlan ours = plan(Like::kOurs), bfl = plan(Like::kBfl),
                 diffusers = plan(Like::kDiffusers), comfy = plan(Like::kComfyUi),
                 sdcpp = plan(Like::kSdCpp);
  EXPECT_EQ(ours.size, (Size{1456, 720}));
  EXPECT_EQ(ours.reference_sizes[0], ours.size);
  EXPECT_EQ(bfl.size, ours.size);
  EXPECT_EQ(diffusers.size, (Size{1024, 1024}));
  EXPECT_EQ(diffusers.reference_sizes[0], (Size{1456, 720}));
  EXPECT_EQ(comfy.size, ours.size);
  EXPECT_EQ(sdcpp.size, (Size{1008, 512}));
  EXPECT_EQ(sdcpp.reference_sizes[0], (Size{1008, 496}));  // 1000 and 500 to the nearest 16
  EXPECT_EQ(ours.steps, 28);
  EXPECT_EQ(bfl.steps, 30);
  EXPECT_EQ(diffusers.steps, 28);
  EXPECT_EQ(comfy.steps, 20);
  EXPECT_EQ(sdcpp.steps, 20);
  EXPECT_FLOAT_EQ(ours.guidance, 2.5f);
  EXPECT_FLOAT_EQ(bfl.guidance, 2.5f);
  EXPECT_FLOAT_EQ(diffusers.guidance, 3.5f);
  EXPECT_FLOAT_EQ(comfy.guidance, 2.5f);
  EXPECT_FLOAT_EQ(sdcpp.guidance, 3.5f);
  r.steps = 7;
  EXPECT_EQ(plan(Like::kBfl).steps, 7);
}

TEST(Plan, ALoraForFewStepsComesBeforeLikeAndAfterTheRequest) {
  ModelDefaults m = Flux();
  m.few_step = FewStepOf("Hyper-FLUX.1-dev-16steps-lora.safetensors");
  EditRequest r;
  r.like = Like::kBfl;  // 30 steps, guidance 2.5
  EXPECT_EQ(PlanEdit(r, m, EditLimits{})->steps, 16);
  EXPECT_EQ(PlanEdit(r, m, EditLimits{})->guidance, 3.5f);
  r.steps = 7;
  r.guidance = 2.0f;
  EXPECT_EQ(PlanEdit(r, m, EditLimits{})->steps, 7);
  EXPECT_EQ(PlanEdit(r, m, EditLimits{})->guidance, 2.0f);
}

TEST(Plan, SecondReferenceFollowsTheFirstOnesArea) {
  EditRequest r;
  r.images = {Blank(512, 512), Blank(400, 200)};
  const EditPlan plan = *PlanEdit(r, Flux(), EditLimits{});
  EXPECT_EQ(plan.reference_sizes[0], (Size{1024, 1024}));
  EXPECT_EQ(plan.reference_sizes[1], (Size{1456, 720}));  // 1448 x 724 to multiples of 16
}

TEST(Plan, GenerateTakesTheFirstPreferredSize) {
  EXPECT_EQ(PlanEdit({}, Flux(), EditLimits{})->size, (Size{672, 1568}));
}

TEST(Plan, TrueCfgNeedsANegativePromptAndAScaleAboveOne) {
  EditRequest r;
  r.true_cfg = 3;
  EXPECT_FALSE(PlanEdit(r, Flux(), EditLimits{})->two_passes);
  r.negative = "";
  EXPECT_TRUE(PlanEdit(r, Flux(), EditLimits{})->two_passes);
  r.true_cfg = 1;
  EXPECT_FALSE(PlanEdit(r, Flux(), EditLimits{})->two_passes);
}

TEST(Plan, EveryBoundIsAnError) {
  const auto message = [](const EditRequest& r) {
    const auto plan = PlanEdit(r, Flux(), EditLimits{});
    EXPECT_EQ(plan.code(), Code::kUsage);
    return plan.message();
  };
  const auto has = [&](auto change, const char* text) {
    EditRequest r;
    change(r);
    EXPECT_NE(message(r).find(text), std::string::npos) << message(r);
  };
  has([](EditRequest& r) { r.steps = 0; }, "must be 1..1000");
  has([](EditRequest& r) { r.guidance = -1; }, "guidance");
  has([](EditRequest& r) { r.guidance = std::numeric_limits<float>::quiet_NaN(); }, "guidance");
  has([](EditRequest& r) { r.true_cfg = 1e9f; }, "true-cfg");
  has([](EditRequest& r) { r.count = 0; }, "n 0");
  has([](EditRequest& r) { r.size = Size{1000, 1000}; }, "992x992");
  has([](EditRequest& r) { r.size = Size{16, 100000}; }, "sides must be");
  has([](EditRequest& r) { r.prompt.assign(70000, 'a'); }, "prompt");
  has([](EditRequest& r) { r.images.assign(9, Blank(16, 16)); }, "at most 8");
  has([](EditRequest& r) { r.images = {Pixels{16, 16, 3, {}}}; }, "is no picture");
}

}  // namespace
}  // namespace kontext
