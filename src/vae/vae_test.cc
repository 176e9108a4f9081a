#include "vae/vae.h"

#include <gtest/gtest.h>

#include "golden_tiny.h"
#include "vae/stages.h"

namespace kontext {
namespace {

VaeConfig TinyConfig() {
  VaeConfig c;
  c.latent_channels = 4;
  c.channels = {32, 64};
  c.blocks_per_level = 1;
  return c;
}

struct TinyVae {
  TinyVae(const VaeConfig& vae_config, const TinyBackend& backend)
      : config(vae_config), ops(MakeTinyOps(backend)) {
    const Status s =
        LoadWeights([&](WeightVisitor& v) { VisitVae(config, weights, v); }, source, *ops);
    EXPECT_TRUE(s.ok()) << s.message();
  }
  // `picture` [height,width,3]
  Status Encode(const std::vector<float>& picture, int64_t height, int64_t width,
                Observer* observer = nullptr) {
    const int64_t f = config.factor(), z = config.latent_channels;
    latents.assign(static_cast<size_t>(height / f * (width / f) * z), 0.0f);
    return EncodeLatents(config, weights, ViewOf(picture.data(), {height, width, 3}), *ops,
                         observer, ViewOf(latents.data(), {height / f, width / f, z}));
  }
  // `from` [height/f,width/f,z]
  Status Decode(const std::vector<float>& from, int64_t height, int64_t width,
                Observer* observer = nullptr) {
    const int64_t f = config.factor();
    decoded.assign(static_cast<size_t>(height * width * 3), 0.0f);
    return DecodeLatents(config, weights,
                         ViewOf(from.data(), {height / f, width / f, config.latent_channels}), *ops,
                         observer, ViewOf(decoded.data(), {height, width, 3}));
  }

  VaeConfig config;
  std::unique_ptr<Ops> ops;
  TinySource source;
  VaeWeights weights;
  std::vector<float> latents, decoded;
};

std::vector<float> TinyPicture() {  // [8,12,3]
  return ChannelsLast(FillUniform("input.image", 3 * 8 * 12), 3);
}

class VaeGolden : public testing::TestWithParam<TinyBackend> {};
INSTANTIATE_TEST_SUITE_P(All, VaeGolden, testing::ValuesIn(TinyBackends("f32")), TinyBackendName);

TEST_P(VaeGolden, EncodeAndDecode) {
  TinyVae vae(TinyConfig(), GetParam());
  TinyRecorder recorder;
  Status s = vae.Encode(TinyPicture(), 8, 12, &recorder);
  ASSERT_TRUE(s.ok()) << s.message();
  ExpectGolden("vae.conv_in", ChannelsFirst(recorder.tensors["vae.conv_in"], 32));
  ExpectGolden("vae.moments", ChannelsFirst(recorder.tensors["vae.moments"], 8));
  ExpectGolden("vae.encode", ChannelsFirst(vae.latents, 4));
  s = vae.Decode(vae.latents, 8, 12, &recorder);
  ASSERT_TRUE(s.ok()) << s.message();
  ExpectGolden("vae.decode", ChannelsFirst(vae.decoded, 3));
  for (const char* name : {"vae.down0", "vae.down1", "vae.mid", "vae.encode", "vae.decode.conv_in",
                           "vae.decode.mid", "vae.decode.up1", "vae.decode.up0", "vae.decode"}) {
    EXPECT_EQ(recorder.tensors.count(name), 1u) << name;
  }
}

// The mean, never a sample (pitfall 17).
TEST_P(VaeGolden, EncodesTheSameTwice) {
  TinyVae vae(TinyConfig(), GetParam());
  ASSERT_TRUE(vae.Encode(TinyPicture(), 8, 12).ok());
  const std::vector<float> once = vae.latents;
  ASSERT_TRUE(vae.Encode(TinyPicture(), 8, 12).ok());
  EXPECT_EQ(vae.latents, once);
}

class VaeBf16 : public testing::TestWithParam<TinyBackend> {};
INSTANTIATE_TEST_SUITE_P(All, VaeBf16, testing::ValuesIn(TinyBackends("bf16")), TinyBackendName);

TEST_P(VaeBf16, WithinTheRoundingsOfItsStores) {
  TinyVae exact(TinyConfig(), {GetParam().name, "f32"}), rounded(TinyConfig(), GetParam());
  ASSERT_TRUE(exact.Encode(TinyPicture(), 8, 12).ok() && rounded.Encode(TinyPicture(), 8, 12).ok());
  // A residual block rounds norm, conv1, norm and sum, and its 2 kernels; a shortcut 1 tensor and 1
  // kernel more; the attention norm, q, k, v, result and sum, and its 4 matrices; other
  // convolutions their result and kernel; the last norm once.
  constexpr double kBlock = 4 + 2, kShortcut = 2, kAttention = 6 + 4, kConv = 2;
  const double encode = 4 * kBlock + kShortcut + kAttention + 3 * kConv + 1;
  const double decode = 6 * kBlock + kShortcut + kAttention + 3 * kConv + 1;
  const double latents = RelativeRms(rounded.latents, exact.latents);
  std::printf("  encode, bf16 against f32: %.1e, bound %.1e\n", latents, Bf16Bound(encode));
  EXPECT_LE(latents, Bf16Bound(encode));
  EXPECT_GT(latents, 0);
  ASSERT_TRUE(exact.Decode(exact.latents, 8, 12).ok() && rounded.Decode(exact.latents, 8, 12).ok());
  const double pixels = RelativeRms(rounded.decoded, exact.decoded);
  std::printf("  decode, bf16 against f32: %.1e, bound %.1e\n", pixels, Bf16Bound(decode));
  EXPECT_LE(pixels, Bf16Bound(decode));
  EXPECT_GT(pixels, 0);
}

VaeConfig Variant(std::vector<int64_t> channels, int64_t blocks, int64_t groups) {
  VaeConfig c;
  c.channels = std::move(channels);
  c.blocks_per_level = blocks;
  c.groups = groups;
  return c;
}

// Levels, blocks and groups of every kind, and odd latent sizes: each backend against the
// reference, and the memory really used against the plan.
class VaeVariants : public testing::TestWithParam<TinyBackend> {
 protected:
  void Check(const VaeConfig& config, int64_t height, int64_t width) {
    SCOPED_TRACE(std::to_string(config.channels.size()) + " levels");
    TinyVae oracle(config, {"reference", "f32"}), vae(config, GetParam());
    const std::vector<float> picture = FillUniform("input.variant", height * width * 3);
    ASSERT_TRUE(oracle.Encode(picture, height, width).ok() &&
                vae.Encode(picture, height, width).ok());
    const double encode = RelativeRms(vae.latents, oracle.latents);
    ASSERT_TRUE(oracle.Decode(oracle.latents, height, width).ok());
    ASSERT_TRUE(vae.Decode(oracle.latents, height, width).ok());
    const double decode = RelativeRms(vae.decoded, oracle.decoded);
    // Products on the way: 2 per residual block, 4 of the attention, 1 per level and at both ends.
    // Each sum of k products adds sqrt(k) roundings of f32.
    const int64_t levels = static_cast<int64_t>(config.channels.size());
    const double products =
        static_cast<double>(2 * (levels * (config.blocks_per_level + 1) + 2) + 4 + levels + 2);
    const double terms = 9.0 * static_cast<double>(config.channels.back());
    const double bound = 0x1p-24 * std::sqrt(products * terms);
    std::printf("  %s %s: encode %.1e, decode %.1e, bound %.1e\n", GetParam().name.c_str(),
                Shape({height, width}).Str().c_str(), encode, decode, bound);
    EXPECT_LE(encode, bound);
    EXPECT_LE(decode, bound);
    CheckMemory(vae, picture, height, width);
  }

  // The most that the stages really take, buffer by buffer, is what the plan says.
  void CheckMemory(TinyVae& vae, const std::vector<float>& picture, int64_t height, int64_t width) {
    const int64_t f = vae.config.factor();
    const ConstTensorView pixels = ViewOf(picture.data(), {height, width, 3});
    const Shape small{height / f, width / f, vae.config.latent_channels};
    const TensorView latents = ViewOf(vae.latents.data(), small);
    VaeRun plan(vae.config, DType::kF32);
    ASSERT_TRUE(RunEncoder(plan, vae.weights.encoder, pixels, latents).ok());
    auto encode = VaeRun::Create(plan, *vae.ops, nullptr);
    ASSERT_TRUE(encode.ok());
    ASSERT_TRUE(RunEncoder(*encode, vae.weights.encoder, pixels, latents).ok());
    EXPECT_EQ(encode->bytes(), EncodeBytes(vae.config, height, width, DType::kF32));

    VaeRun back(vae.config, DType::kF32);
    const TensorView decoded = ViewOf(vae.decoded.data(), {height, width, 3});
    ASSERT_TRUE(RunDecoder(back, vae.weights.decoder, latents, decoded).ok());
    auto decode = VaeRun::Create(back, *vae.ops, nullptr);
    ASSERT_TRUE(decode.ok());
    ASSERT_TRUE(RunDecoder(*decode, vae.weights.decoder, latents, decoded).ok());
    EXPECT_EQ(decode->bytes(), DecodeBytes(vae.config, height, width, DType::kF32));
  }
};
INSTANTIATE_TEST_SUITE_P(All, VaeVariants, testing::ValuesIn(TinyBackends("f32")), TinyBackendName);

TEST_P(VaeVariants, OddLatentsOfTheMiniModel) { Check(Variant({16, 32, 64, 64}, 1, 8), 24, 40); }
TEST_P(VaeVariants, OnePixelOfLatents) { Check(Variant({16, 32, 64, 64}, 1, 8), 8, 8); }
TEST_P(VaeVariants, TwoLevelsFourBlocks) { Check(Variant({32, 32}, 4, 32), 6, 10); }
TEST_P(VaeVariants, ThreeLevelsThatShrink) { Check(Variant({64, 32, 96}, 2, 32), 12, 20); }
TEST_P(VaeVariants, FiveLevels) { Check(Variant({8, 8, 16, 16, 24}, 3, 8), 16, 48); }

// A level's first block takes the channels of the level before, from the coarsest in the decoder.
TEST(Vae, ShortcutsWhereChannelsChange) {
  VaeConfig config;
  VaeWeights w;
  SizeVae(config, w);
  struct Recorder : WeightVisitor {
    std::map<std::string, std::pair<int64_t, int64_t>> shortcuts;
    void LinearRows(const std::string&, LinearPtr&, RowRange, int64_t, int64_t, Bias) override {}
    void Conv(const std::string& name, ConvPtr&, int64_t out, int64_t in, int64_t) override {
      if (name.find("nin_shortcut") != std::string::npos) shortcuts[name] = {out, in};
    }
    void Vector(const std::string&, VectorWeights&, int64_t) override {}
    void Table(const std::string&, TableWeights&, int64_t, int64_t) override {}
  } recorder;
  VisitVae(config, w, recorder);
  const std::map<std::string, std::pair<int64_t, int64_t>> expected = {
      {"encoder.down.1.block.0.nin_shortcut", {256, 128}},
      {"encoder.down.2.block.0.nin_shortcut", {512, 256}},
      {"decoder.up.1.block.0.nin_shortcut", {256, 512}},
      {"decoder.up.0.block.0.nin_shortcut", {128, 256}}};
  EXPECT_EQ(recorder.shortcuts, expected);
}

TEST(Vae, RealSizeCounts) {
  const VaeConfig config;
  VaeWeights weights;
  const WeightCount count = CountWeights([&](WeightVisitor& v) { VisitVae(config, weights, v); });
  EXPECT_EQ(count.tensors, 244);
  EXPECT_EQ(count.parameters, 83819683);
}

// One unit is a 128-channel picture of full size. The encoder needs three. The decoder needs five:
// the first block of the finest level holds its input of 256 channels, that normed, and 128
// channels.
TEST(Vae, RealSizeMemory) {
  const VaeConfig config;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const int64_t unit = int64_t{1024} * 1024 * 128 * SizeOf(dtype);
    // A picture of the finest level, its residual block, and half of it in rows and columns.
    EXPECT_EQ(EncodeBytes(config, 1024, 1024, dtype), 2 * unit + unit / 4);
    // Twice the channels come up to the finest level; beside them the block and its sum.
    EXPECT_EQ(DecodeBytes(config, 1024, 1024, dtype), 4 * unit);
  }
}

TEST(Vae, CancelStopsBetweenBlocks) {
  TinyVae vae(TinyConfig(), {"reference", "f32"});
  TinyRecorder all;
  ASSERT_TRUE(vae.Encode(TinyPicture(), 8, 12, &all).ok());
  for (int at = 0; at < all.asked; ++at) {
    TinyRecorder recorder(at);
    EXPECT_EQ(vae.Encode(TinyPicture(), 8, 12, &recorder).code(), Code::kCancelled) << at;
    EXPECT_EQ(recorder.asked, at + 1);
  }
  ASSERT_TRUE(vae.Encode(TinyPicture(), 8, 12).ok());
  TinyRecorder recorder(2);
  EXPECT_EQ(vae.Decode(vae.latents, 8, 12, &recorder).code(), Code::kCancelled);
}

TEST(Vae, RefusesPicturesItCannotHalve) {
  TinyVae vae(TinyConfig(), {"reference", "f32"});
  EXPECT_EQ(vae.Encode(std::vector<float>(7 * 12 * 3), 7, 12).code(), Code::kBadInput);
  EXPECT_EQ(vae.Encode({}, 0, 12).code(), Code::kBadInput);
  const Status s = vae.Encode(std::vector<float>(8 * 13 * 3), 8, 13);
  EXPECT_EQ(
      s.message(),
      "autoencoder: picture [8,13,3] F32, expected a dense [h,w,3] F32, h and w multiples of 2");
}

}  // namespace
}  // namespace kontext
