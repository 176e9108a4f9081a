// Sizes read from shapes against sizes read from config files: FLUX.1 [dev]'s and the mini model's.
#include "model/config_from_shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "dit/dit_weights.h"
#include "golden/flux_layouts.h"
#include "model/config.h"
#include "model/flux_kontext.h"
#include "weights/weight_file.h"

namespace kontext {
namespace {

using testing::HasSubstr;

const std::string kFlux = KX_SOURCE_DIR "/tests/data/flux1/";
const std::string kMini = KX_SOURCE_DIR "/models/mini/";

// Every number of a config, so that one that is forgotten shows as a difference of texts.
std::string Text(const DitConfig& c) {
  return fmt::format(
      "in {} out {} vec {} context {} hidden {} heads {} mlp {} depth {} {} axes {} "
      "{} {} theta {} guidance {}",
      c.in_channels, c.out_channels, c.vec, c.context, c.hidden, c.heads, c.mlp, c.depth,
      c.depth_single, c.axes[0], c.axes[1], c.axes[2], c.theta, c.guidance);
}
std::string Text(const VaeConfig& c) {
  std::string channels;
  for (const int64_t n : c.channels) channels += fmt::format(" {}", n);
  return fmt::format("in {} z {} channels{} blocks {} groups {} eps {} scale {} shift {}",
                     c.in_channels, c.latent_channels, channels, c.blocks_per_level, c.groups,
                     c.eps, c.scaling_factor, c.shift_factor);
}
std::string Text(const ClipConfig& c) {
  return fmt::format("vocab {} hidden {} layers {} heads {} ff {} positions {} eps {} eos {}",
                     c.vocab, c.hidden, c.layers, c.heads, c.ff, c.positions, c.eps, c.eos_id);
}
std::string Text(const T5Config& c) {
  return fmt::format(
      "vocab {} model {} heads {} kv {} ff {} layers {} buckets {} distance {} eps {}", c.vocab,
      c.model, c.heads, c.kv, c.ff, c.layers, c.buckets, c.max_distance, c.eps);
}

// The tensors of a weight table; only their shapes count.
class ShapeWriter : public WeightVisitor {
 public:
  void LinearRows(const std::string& name, LinearPtr&, RowRange, int64_t out, int64_t in,
                  Bias bias) override {
    Write(name + ".weight", {out, in});
    if (bias == Bias::kYes) Write(name + ".bias", {out});
  }
  void Conv(const std::string& name, ConvPtr&, int64_t out, int64_t in, int64_t kernel) override {
    Write(name + ".weight", {out, in, kernel, kernel});
    Write(name + ".bias", {out});
  }
  void Vector(const std::string& name, VectorWeights&, int64_t n) override { Write(name, {n}); }
  void Table(const std::string& name, TableWeights&, int64_t rows, int64_t cols) override {
    Write(name, {rows, cols});
  }
  WeightMap tensors;
  std::string prefix;

 private:
  void Write(const std::string& name, const Shape& shape) {
    tensors[prefix + name] = ConstTensorView(&byte_, DType::kBF16, shape);
  }
  std::byte byte_{};
};

template <class Config>
Config Must(Result<Config> config) {
  EXPECT_TRUE(config.ok()) << config.message();
  return config.ok() ? *config : Config{};
}

// tests/must_fail: a block too many must not go unseen.
void Nudge(WeightMap& tensors) {
  const char* nudge = std::getenv("KX_NUDGE");
  if (nudge == nullptr || std::string(nudge) != "shapes") return;
  tensors["double_blocks.19.img_mod.lin.weight"] = tensors.begin()->second;
}

TEST(ConfigFromShapes, RealTransformer) {
  const DitConfig expected = Must(ReadDitConfig(kFlux + "transformer/config.json"));
  DitWeights weights;
  for (const char* prefix : {"", "model.diffusion_model."}) {
    ShapeWriter writer;
    writer.prefix = prefix;
    VisitDit(expected, weights, writer);
    Nudge(writer.tensors);
    EXPECT_EQ(Text(Must(DitConfigFromShapes(writer.tensors, "flux"))), Text(expected));
  }
}

TEST(ConfigFromShapes, RealTransformerInDiffusersLayouts) {
  const DitConfig expected = Must(ReadDitConfig(kFlux + "transformer/config.json"));
  DitWeights weights;
  for (const Layout layout : {Layout::kDiffusers, Layout::kDiffusersFused}) {
    ShapeSource shapes;
    LayoutWriter writer(layout, expected.hidden, shapes);
    VisitDit(expected, weights, writer);
    EXPECT_EQ(Text(Must(DitConfigFromShapes(writer.tensors(), "flux"))), Text(expected));
  }
}

TEST(ConfigFromShapes, RealEncodersAndAutoencoder) {
  ShapeWriter writer;  // all in one file, as ComfyUI's checkpoints name them
  const ClipConfig clip = Must(ReadClipConfig(kFlux + "text_encoder/config.json"));
  ClipWeights clip_weights;
  writer.prefix = "text_encoders.clip_l.transformer.";
  VisitClip(clip, clip_weights, writer);
  const T5Config t5 = Must(ReadT5Config(kFlux + "text_encoder_2/config.json"));
  T5Weights t5_weights;
  writer.prefix = "text_encoders.t5xxl.transformer.";
  VisitT5(t5, t5_weights, writer);
  const VaeConfig vae = Must(ReadVaeConfig(kFlux + "vae/config.json"));
  VaeWeights vae_weights;
  writer.prefix = "vae.";
  VisitVae(vae, vae_weights, writer);
  EXPECT_EQ(Text(Must(ClipConfigFromShapes(writer.tensors, "all", {}))), Text(clip));
  EXPECT_EQ(Text(Must(T5ConfigFromShapes(writer.tensors, "all", {}))), Text(t5));
  EXPECT_EQ(Text(Must(VaeConfigFromShapes(writer.tensors, "all", {}))), Text(vae));
}

TEST(ConfigFromShapes, RealScheduler) {
  const SchedulerConfig file = Must(ReadSchedulerConfig(kFlux + "scheduler/scheduler_config.json"));
  const SchedulerConfig ours = FluxKontextScheduler();
  EXPECT_EQ(ours.base_shift, file.base_shift);
  EXPECT_EQ(ours.max_shift, file.max_shift);
  EXPECT_EQ(ours.base_image_seq_len, file.base_image_seq_len);
  EXPECT_EQ(ours.max_image_seq_len, file.max_image_seq_len);
}

// The mini model's files, in Diffusers' and Hugging Face's names; what shapes cannot tell comes
// from its configs.
TEST(ConfigFromShapes, MiniModel) {
  const auto open = [](const char* folder) { return *WeightFile::Open(kMini + folder); };
  const DitConfig dit = Must(ReadDitConfig(kMini + "transformer/config.json"));
  EXPECT_EQ(Text(Must(DitConfigFromShapes(open("transformer")->tensors(), "m"))), Text(dit));
  const ClipConfig clip = Must(ReadClipConfig(kMini + "text_encoder/config.json"));
  EXPECT_EQ(Text(Must(ClipConfigFromShapes(open("text_encoder")->tensors(), "m", clip))),
            Text(clip));
  T5Config t5 = Must(ReadT5Config(kMini + "text_encoder_2/config.json"));
  EXPECT_EQ(Text(Must(T5ConfigFromShapes(open("text_encoder_2")->tensors(), "m", {}))), Text(t5));
  VaeConfig vae = Must(ReadVaeConfig(kMini + "vae/config.json"));
  VaeConfig known;
  known.groups = vae.groups;
  known.scaling_factor = vae.scaling_factor;
  known.shift_factor = vae.shift_factor;
  EXPECT_EQ(Text(Must(VaeConfigFromShapes(open("vae")->tensors(), "m", known))), Text(vae));
  // FLUX.1's 32 groups do not divide the mini's 16 channels: said, with what to do.
  EXPECT_THAT(VaeConfigFromShapes(open("vae")->tensors(), "m", {}).message(),
              HasSubstr("--tokenizers"));
}

TEST(ConfigFromShapes, ContradictionsAreNamed) {
  DitConfig c;
  DitWeights weights;
  ShapeWriter writer;
  VisitDit(c, weights, writer);
  const std::byte byte{};
  const auto set = [&](const char* name, const Shape& shape) {
    writer.tensors[name] = ConstTensorView(&byte, DType::kBF16, shape);
  };
  const auto message = [&] { return DitConfigFromShapes(writer.tensors, "f").message(); };
  set("double_blocks.0.img_attn.norm.query_norm.scale", {100});
  EXPECT_THAT(message(), HasSubstr("width 3072 over heads of 100"));
  set("double_blocks.0.img_attn.norm.query_norm.scale", {0});
  EXPECT_THAT(message(), HasSubstr("query_norm.scale\" is [0]"));
  set("double_blocks.0.img_attn.norm.query_norm.scale", {128});
  set("img_in.weight", {});
  EXPECT_THAT(message(), HasSubstr("\"img_in.weight\" is []"));
  set("img_in.weight", {int64_t{1} << 62, 1});
  EXPECT_THAT(message(), HasSubstr("img_in.weight"));
  writer.tensors.erase("img_in.weight");
  EXPECT_THAT(message(), HasSubstr("\"img_in.weight\" is missing"));
  writer.tensors.clear();
  EXPECT_FALSE(DitConfigFromShapes(writer.tensors, "f").ok());
  EXPECT_FALSE(VaeConfigFromShapes(writer.tensors, "f", {}).ok());
  EXPECT_FALSE(ClipConfigFromShapes(writer.tensors, "f", {}).ok());
  EXPECT_FALSE(T5ConfigFromShapes(writer.tensors, "f", {}).ok());
}

}  // namespace
}  // namespace kontext
