// What a run promises besides its pixels: seeds, progress, cancelling, memory, threads.
#include "edit/edit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "base/threads.h"
#include "edit/memory.h"
#include "pipeline/golden_case.h"

namespace kontext::testing {
namespace {

class EditTest : public MiniTest {
 protected:
  Result<std::vector<Edited>> Run(EditListener* listener = nullptr, int64_t memory_limit = 0) {
    return RunEdit(*setup_.model, *setup_.ops, request_, memory_limit, 2, {listener, nullptr});
  }
};

TEST_F(EditTest, TwoRunsAreEqualBitForBit) {
  EXPECT_EQ(Run()->front().picture.data, Run()->front().picture.data);
}

TEST_F(EditTest, OneAndTwoThreadsAgree) {
  const auto with = [&](int threads) {
    const ThreadScope scope(threads);
    return Run()->front().picture.data;
  };
  const std::vector<uint8_t> one = with(1), two = with(2);
  const ConstTensorView view = ViewOf(one.data(), {static_cast<int64_t>(one.size())});
  EXPECT_EQ(WithinOne(two, view), 1.0);
}

TEST_F(EditTest, SeveralPicturesAreThoseOfTheirSeeds) {
  request_.count = 3;
  const auto three = *Run();
  ASSERT_EQ(three.size(), 3u);
  request_.count = 1;
  request_.seed = *request_.seed + 2;
  EXPECT_EQ(Run()->front().picture.data, three[2].picture.data);
}

struct Recording : EditListener {
  std::vector<Progress> progress;
  std::vector<uint64_t> seeds;
  int previews = 0, stop_after = -1, asked = 0;
  Pixels last_preview;
  void OnProgress(const Progress& p) override {
    progress.push_back(p);
    if (p.preview == nullptr || p.preview->width == 0) return;
    ++previews;
    last_preview = *p.preview;
  }
  void OnPicture(const Edited& e) override { seeds.push_back(e.seed); }
  bool Cancelled() override { return stop_after >= 0 && ++asked > stop_after; }
};

// Colour c of the 8x8 block at (x, y).
double BlockMean(const Pixels& picture, int x, int y, int c) {
  double sum = 0;
  for (int dy = 0; dy < 8; ++dy) {
    for (int dx = 0; dx < 8; ++dx) {
      const int at = ((8 * y + dy) * picture.width + 8 * x + dx) * picture.channels + c;
      sum += picture.data[static_cast<size_t>(at)];
    }
  }
  return sum / 64;
}

TEST_F(EditTest, ProgressCountsEveryStepOnceAndTimeLeftFalls) {
  request_.count = 2;
  request_.previews = true;
  Recording recording;
  ASSERT_TRUE(Run(&recording).ok());
  std::vector<double> left;
  for (const Progress& p : recording.progress) {
    if (p.stage == Stage::kSteps && p.step > 0) left.push_back(p.seconds_left);
  }
  ASSERT_EQ(left.size(), 4u);
  EXPECT_GT(left[0], 0);
  EXPECT_EQ(left[3], 0);
  EXPECT_EQ(recording.previews, 4);
  EXPECT_EQ(recording.seeds, (std::vector<uint64_t>{*request_.seed, *request_.seed + 1}));
}

// One block's time, wherever the run is: at each place where it asks, it must end with kCancelled.
TEST_F(EditTest, CancelledAtEveryPlaceItAsks) {
  Recording count;
  count.stop_after = 1 << 30;
  ASSERT_TRUE(Run(&count).ok());
  const int64_t blocks = setup_.model->dit_config.depth + setup_.model->dit_config.depth_single;
  EXPECT_GE(count.asked, *request_.steps * blocks);
  for (int i = 0; i < count.asked; ++i) {
    Recording recording;
    recording.stop_after = i;
    const auto edits = Run(&recording);
    EXPECT_EQ(edits.code(), Code::kCancelled) << i;
    EXPECT_TRUE(recording.seeds.empty());
  }
}

// The recipe names the mode and the plan of its steps; each gives the picture again.
TEST_F(EditTest, AModeIsInTheRecipeAndReproduced) {
  request_.steps = 28;
  std::set<std::string> pictures;
  for (const Mode mode : {Mode::kExact, Mode::kBalanced, Mode::kFast}) {
    request_.mode = mode;
    const auto edits = Run();
    ASSERT_TRUE(edits.ok()) << edits.message();
    const Edited& edited = edits->front();
    pictures.emplace(edited.picture.data.begin(), edited.picture.data.end());
    const auto recipe = nlohmann::json::parse(edited.recipe);
    EXPECT_EQ(recipe.at("mode"), NameOf(mode));
    EXPECT_EQ(recipe.contains("step_plan"), mode != Mode::kExact);
    EXPECT_EQ(Run()->front().picture.data, edited.picture.data);
    if (mode == Mode::kExact) continue;
    const auto plan = ParseStepPlan(recipe.at("step_plan").get<std::string>());
    ASSERT_TRUE(plan.ok()) << plan.message();
    request_.mode = Mode::kDefault;  // the same precision, no plan of its own
    const auto again = RunEdit(*setup_.model, *setup_.ops, request_, 0, 2, {}, nullptr, &*plan);
    EXPECT_EQ(again->front().picture.data, edited.picture.data);
  }
  EXPECT_EQ(pictures.size(), 3u);  // a mode does something
}

// 8 bits in the blocks: another picture, and a near one. 35 dB is what the mode promises.
TEST_F(EditTest, ModeDefaultIsNearExact) {
  request_.steps = 28;
  const auto exact = Run();
  request_.mode = Mode::kDefault;
  const auto coarse = Run();
  ASSERT_TRUE(exact.ok() && coarse.ok()) << coarse.message();
  const std::vector<uint8_t>&a = exact->front().picture.data, &b = coarse->front().picture.data;
  ASSERT_EQ(a.size(), b.size());
  EXPECT_NE(a, b);
  const double psnr = Psnr(b, ViewOf(a.data(), {std::ssize(a)}));
  std::printf("  default against exact: %.1f dB, promised 35\n", psnr);
  EXPECT_GE(psnr, 35);
  const auto recipe = nlohmann::json::parse(coarse->front().recipe);
  EXPECT_EQ(recipe.at("mode"), "default");
  EXPECT_FALSE(recipe.contains("step_plan"));
}

// Every step of every picture, as a process that was killed there would go on.
TEST_F(EditTest, ResumedAtEachStepItIsTheSameBitForBit) {
  struct Keeping : EditListener {
    std::vector<ResumePoint> kept;
    bool WantsCheckpoints() override { return true; }
    void OnCheckpoint(const ResumePoint& c) override { kept.push_back(c); }
  } keeping;
  request_.count = 2;
  const auto whole = *Run(&keeping);
  ASSERT_EQ(keeping.kept.size(), 4u);
  for (const ResumePoint& at : keeping.kept) {
    request_.resume = at;
    const auto rest = Run();
    ASSERT_TRUE(rest.ok()) << rest.message();
    ASSERT_EQ(rest->size(), static_cast<size_t>(2 - at.picture));
    EXPECT_EQ(rest->front().picture.data, whole[static_cast<size_t>(at.picture)].picture.data);
    EXPECT_EQ(rest->back().picture.data, whole[1].picture.data);
  }
  request_.resume->latents[0] += 0.5f;  // what is kept is what counts
  EXPECT_NE(Run()->back().picture.data, whole[1].picture.data);
  request_.resume->latents.pop_back();
  EXPECT_EQ(Run().code(), Code::kUsage);
  request_.resume = keeping.kept[0];
  request_.mode = Mode::kFast;
  request_.steps = 8;  // of which some are forecasts
  EXPECT_EQ(Run().code(), Code::kUsage);
  request_.mode = Mode::kExact;
  request_.steps = 2;
  request_.resume->step = 3;
  EXPECT_EQ(Run().code(), Code::kUsage);
}

TEST_F(EditTest, MemoryIsRefusedBeforeTheWork) {
  Recording recording;
  const auto edits = Run(&recording, 1 << 10);
  EXPECT_EQ(edits.code(), Code::kNoSpace);
  EXPECT_NE(edits.message().find("MiB"), std::string::npos);
  for (const Progress& p : recording.progress) EXPECT_NE(p.stage, Stage::kSteps);
}

// The last step's preview against the finished picture, reduced to its size. Nothing but the
// picture's mean colour would leave all of the variance unexplained, and a fit to the wrong colours
// more than that: 0.5 is half way to perfect.
TEST_F(EditTest, LastPreviewExplainsMostOfThePicture) {
  request_.steps = 12;
  request_.previews = true;
  Recording recording;
  const auto edits = Run(&recording);
  ASSERT_TRUE(edits.ok()) << edits.message();
  const Pixels &picture = edits->front().picture, &preview = recording.last_preview;
  ASSERT_EQ(picture.width, 8 * preview.width);
  ASSERT_EQ(picture.height, 8 * preview.height);
  double unexplained = 0, variance = 0;
  for (int c = 0; c < 3; ++c) {
    std::vector<double> means;
    for (int y = 0; y < preview.height; ++y) {
      for (int x = 0; x < preview.width; ++x) means.push_back(BlockMean(picture, x, y, c));
    }
    const double mean =
        std::accumulate(means.begin(), means.end(), 0.0) / static_cast<double>(means.size());
    for (size_t i = 0; i < means.size(); ++i) {
      unexplained += std::pow(means[i] - preview.data[3 * i + static_cast<size_t>(c)], 2);
      variance += std::pow(means[i] - mean, 2);
    }
  }
  const double explained = 1 - unexplained / variance;
  std::printf("preview explains %.3f of the picture's variance, at least 0.5\n", explained);
  EXPECT_GE(explained, 0.5);
}

}  // namespace
}  // namespace kontext::testing
