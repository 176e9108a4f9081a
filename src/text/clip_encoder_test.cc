#include "text/clip_encoder.h"

#include <gtest/gtest.h>

#include "golden_tiny.h"

namespace kontext {
namespace {

ClipConfig TinyConfig() {
  return {.vocab = 60, .hidden = 32, .layers = 2, .heads = 4, .ff = 64, .positions = 9};
}
const std::vector<int32_t> kIds = {58, 5,  9,  2, 59,
                                   59, 59, 59, 59};  // 2, the legacy eos, is a trap

struct TinyClip {
  explicit TinyClip(const TinyBackend& backend) : ops(MakeTinyOps(backend)) {
    const Status s =
        LoadWeights([&](WeightVisitor& v) { VisitClip(config, weights, v); }, source, *ops);
    EXPECT_TRUE(s.ok()) << s.message();
  }
  Status Encode(const std::vector<int32_t>& ids, Observer* observer = nullptr) {
    hidden.assign(ids.size() * 32, 0.0f);
    return EncodeClip(config, weights, ids, *ops, observer,
                      ViewOf(hidden.data(), {static_cast<int64_t>(ids.size()), 32}));
  }

  ClipConfig config = TinyConfig();
  std::unique_ptr<Ops> ops;
  TinySource source;
  ClipWeights weights;
  std::vector<float> hidden;
};

class ClipGolden : public testing::TestWithParam<TinyBackend> {};
INSTANTIATE_TEST_SUITE_P(All, ClipGolden, testing::ValuesIn(TinyBackends("f32")), TinyBackendName);

TEST_P(ClipGolden, HiddenAndPooled) {
  TinyClip clip(GetParam());
  TinyRecorder recorder;
  const Status s = clip.Encode(kIds, &recorder);
  ASSERT_TRUE(s.ok()) << s.message();
  ExpectGolden("clip.last_hidden", clip.hidden);
  const int64_t row = PooledPosition(clip.config, kIds);
  EXPECT_EQ(row, 4);
  ExpectGolden("clip.pooled(pos4)",
               {clip.hidden.begin() + row * 32, clip.hidden.begin() + (row + 1) * 32});
  EXPECT_EQ(recorder.tensors.count("clip.layer0"), 1u);
  EXPECT_EQ(recorder.tensors.count("clip.layer1"), 1u);
  EXPECT_EQ(recorder.tensors["clip.hidden"], clip.hidden);
}

class ClipBf16 : public testing::TestWithParam<TinyBackend> {};
INSTANTIATE_TEST_SUITE_P(All, ClipBf16, testing::ValuesIn(TinyBackends("bf16")), TinyBackendName);

TEST_P(ClipBf16, WithinTheRoundingsOfItsStores) {
  TinyClip exact({GetParam().name, "f32"}), rounded(GetParam());
  ASSERT_TRUE(exact.Encode(kIds).ok() && rounded.Encode(kIds).ok());
  // Per layer: norm, q, k, v, attention, norm, fc1; a backend may round the six matrices, too.
  const double bound = Bf16Bound(2 * (7 + 6));
  const double observed = RelativeRms(rounded.hidden, exact.hidden);
  std::printf("  bf16 against f32: %.1e, bound %.1e\n", observed, bound);
  EXPECT_LE(observed, bound);
  EXPECT_GT(observed, 0);
}

TEST(Clip, CausalOrderHidesWhatFollows) {
  TinyClip clip({"reference", "f32"});
  ASSERT_TRUE(clip.Encode(kIds).ok());
  const std::vector<float> before = clip.hidden;
  std::vector<int32_t> ids = kIds;
  ids[5] = 7;
  ASSERT_TRUE(clip.Encode(ids).ok());
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 5 * 32, clip.hidden.begin()));
  EXPECT_NE(before[5 * 32], clip.hidden[5 * 32]);
}

TEST(Clip, PooledPositionIsTheFirstEnd) {
  ClipConfig config;  // eos_id 2: the largest id
  EXPECT_EQ(PooledPosition(config, {49406, 320, 2368, 49407, 49407, 49407}), 3);
  EXPECT_EQ(PooledPosition(config, {49406, 320, 49407, 2368, 49407, 49407}),
            2);                                                  // typed by the user
  EXPECT_EQ(PooledPosition(config, {49406, 2, 320, 49407}), 3);  // 2 is "#"
  config.eos_id = 1076;
  EXPECT_EQ(PooledPosition(config, {1075, 3, 1076, 1076}), 2);
  EXPECT_EQ(PooledPosition(config, {2000, 3, 1076, 1076}), 2);  // not the largest
  EXPECT_EQ(PooledPosition(config, {1075, 3, 4}), 0);           // argmax of all zeros
  EXPECT_EQ(PooledPosition(config, {}), 0);
}

TEST(Clip, CancelStopsBetweenLayers) {
  TinyClip clip({"reference", "f32"});
  TinyRecorder recorder(/*cancel_at=*/1);
  EXPECT_EQ(clip.Encode(kIds, &recorder).code(), Code::kCancelled);
  EXPECT_EQ(recorder.tensors.size(), 1u);  // layer 0 only
  EXPECT_TRUE(clip.Encode(kIds).ok());     // the ops are usable again
}

TEST(Clip, RefusesIdsItCannotKnow) {
  TinyClip clip({"reference", "f32"});
  EXPECT_EQ(clip.Encode({58, 60}).code(), Code::kBadInput);
  EXPECT_EQ(clip.Encode({58, -1}).code(), Code::kBadInput);
  EXPECT_EQ(clip.Encode({}).code(), Code::kBadInput);
  EXPECT_EQ(clip.Encode(std::vector<int32_t>(10, 1)).code(), Code::kBadInput);
}

TEST(Clip, RealSizeCounts) {
  const ClipConfig config;
  ClipWeights weights;
  const WeightCount count = CountWeights([&](WeightVisitor& v) { VisitClip(config, weights, v); });
  EXPECT_EQ(count.tensors, 196);
  EXPECT_EQ(count.parameters, 123060480);
}

}  // namespace
}  // namespace kontext
