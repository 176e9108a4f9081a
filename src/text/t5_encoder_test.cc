#include "text/t5_encoder.h"

#include <gtest/gtest.h>

#include "golden_tiny.h"

namespace kontext {
namespace {

std::vector<int32_t> TinyIds() {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 40; ++i) ids.push_back((7 * i + 3) % 50);
  return ids;
}

struct TinyT5 {
  explicit TinyT5(const TinyBackend& backend) : ops(MakeTinyOps(backend)) {
    const Status s =
        LoadWeights([&](WeightVisitor& v) { VisitT5(config, weights, v); }, source, *ops);
    EXPECT_TRUE(s.ok()) << s.message();
  }
  Status Encode(const std::vector<int32_t>& ids, Observer* observer = nullptr) {
    states.assign(ids.size() * 32, 0.0f);
    return EncodeT5(config, weights, ids, *ops, observer,
                    ViewOf(states.data(), {static_cast<int64_t>(ids.size()), 32}));
  }

  // 2 heads x 8 is not the model's 32.
  T5Config config{.vocab = 50, .model = 32, .heads = 2, .kv = 8, .ff = 48, .layers = 2};
  std::unique_ptr<Ops> ops;
  TinySource source;
  T5Weights weights;
  std::vector<float> states;
};

class T5Golden : public testing::TestWithParam<TinyBackend> {};
INSTANTIATE_TEST_SUITE_P(All, T5Golden, testing::ValuesIn(TinyBackends("f32")), TinyBackendName);

TEST_P(T5Golden, States) {  // 40 positions: buckets 8 to 12 are used on both sides
  TinyT5 t5(GetParam());
  TinyRecorder recorder;
  const Status s = t5.Encode(TinyIds(), &recorder);
  ASSERT_TRUE(s.ok()) << s.message();
  ExpectGolden("t5.out", t5.states);
  EXPECT_EQ(recorder.tensors.count("t5.layer0"), 1u);
  EXPECT_EQ(recorder.tensors.count("t5.layer1"), 1u);
  EXPECT_EQ(recorder.tensors["t5.states"], t5.states);
}

class T5Bf16 : public testing::TestWithParam<TinyBackend> {};
INSTANTIATE_TEST_SUITE_P(All, T5Bf16, testing::ValuesIn(TinyBackends("bf16")), TinyBackendName);

TEST_P(T5Bf16, WithinTheRoundingsOfItsStores) {
  TinyT5 exact({GetParam().name, "f32"}), rounded(GetParam());
  ASSERT_TRUE(exact.Encode(TinyIds()).ok() && rounded.Encode(TinyIds()).ok());
  // Per layer: norm, v, attention, norm, wi_0, wi_1, their product, and a backend may round the
  // five matrices on that way, too. The scores q.k are not divided by sqrt(Dh), so they spread by
  // sqrt(Dh): that much a relative error of q or k (norm, store, matrix) weighs in the
  // probabilities' logarithms.
  constexpr double kPerLayer = 7 + 5 + 8 * (3 + 3);
  const double bound = Bf16Bound(2 * kPerLayer);
  const double observed = RelativeRms(rounded.states, exact.states);
  std::printf("  bf16 against f32: %.1e, bound %.1e\n", observed, bound);
  EXPECT_LE(observed, bound);
  EXPECT_GT(observed, 0);
}

// Activations of 1e4 times the usual size overflow fp16 (65,504) and must not trouble us.
TEST_P(T5Bf16, LargeActivationsStayFinite) {
  TinyT5 t5(GetParam());
  for (T5LayerWeights& layer : t5.weights.layers) {
    for (int64_t i = 0; i < 32; ++i) layer.ff_norm.values.view().As<float>()[i] *= 1e4f;
  }
  ASSERT_TRUE(t5.Encode(TinyIds()).ok());
  for (float v : t5.states) ASSERT_TRUE(std::isfinite(v));
}

TEST(T5, PaddingAttendsAndIsAttended) {
  TinyT5 t5({"reference", "f32"});
  std::vector<int32_t> ids = {11, 12, 13, 1};
  ids.resize(16, 0);
  ASSERT_TRUE(t5.Encode(ids).ok());
  const std::vector<float> short_pad(t5.states.begin(), t5.states.begin() + 32);
  ids.resize(32, 0);
  ASSERT_TRUE(t5.Encode(ids).ok());
  const std::vector<float> long_pad(t5.states.begin(), t5.states.begin() + 32);
  const double change = RelativeRms(long_pad, short_pad);
  std::printf("  token 0, padded to 16 and to 32: relative change %.2g\n", change);
  EXPECT_GT(change, 1e-3);  // a thousand times what f32 rounding could do
}

TEST(T5, OneTokenHasNoNeighbours) {
  TinyT5 t5({"reference", "f32"});
  ASSERT_TRUE(t5.Encode({7}).ok());
  for (float v : t5.states) ASSERT_TRUE(std::isfinite(v));
}

// spec architecture 10: the first distance of each large bucket.
TEST(T5, Buckets) {
  const T5Config config;
  for (int64_t d = 0; d < 8; ++d) EXPECT_EQ(RelativeBucket(config, -d), d);
  constexpr int64_t kFirst[] = {8, 12, 16, 23, 32, 46, 64, 91};
  for (int64_t i = 0; i < 8; ++i) {
    const int64_t first = kFirst[i];
    EXPECT_EQ(RelativeBucket(config, -first), 8 + i) << first;
    EXPECT_EQ(RelativeBucket(config, 1 - first), 7 + i) << first;
    EXPECT_EQ(RelativeBucket(config, first), 24 + i) << first;
  }
  for (int64_t d : {127, 128, 129, 511, 100000}) {
    EXPECT_EQ(RelativeBucket(config, -d), 15);
    EXPECT_EQ(RelativeBucket(config, d), 31);
  }
  T5Config narrow;  // a hostile config: no room for logarithmic buckets
  narrow.max_distance = 8;
  EXPECT_EQ(RelativeBucket(narrow, 8), 31);
  EXPECT_EQ(RelativeBucket(narrow, -7), 7);
}

TEST(T5, CancelStopsBetweenLayers) {
  TinyT5 t5({"reference", "f32"});
  TinyRecorder recorder(/*cancel_at=*/1);
  EXPECT_EQ(t5.Encode(TinyIds(), &recorder).code(), Code::kCancelled);
  EXPECT_EQ(recorder.tensors.size(), 1u);  // layer 0 only
  EXPECT_TRUE(t5.Encode(TinyIds()).ok());  // the ops are usable again
}

TEST(T5, RefusesIdsItCannotKnow) {
  TinyT5 t5({"reference", "f32"});
  EXPECT_EQ(t5.Encode({50}).code(), Code::kBadInput);
  EXPECT_EQ(t5.Encode({-1}).code(), Code::kBadInput);
  EXPECT_EQ(t5.Encode({}).code(), Code::kBadInput);
}

TEST(T5, RealSizeCounts) {
  const T5Config config;
  T5Weights weights;
  const WeightCount count = CountWeights([&](WeightVisitor& v) { VisitT5(config, weights, v); });
  EXPECT_EQ(count.tensors, 219);
  EXPECT_EQ(count.parameters, 4762310656);
}

}  // namespace
}  // namespace kontext
