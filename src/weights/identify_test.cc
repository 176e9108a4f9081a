#include "weights/identify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kontext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Entries = std::vector<std::pair<std::string, Shape>>;

Identity Of(const Entries& entries) {
  static const std::byte byte{};  // only the shapes count
  WeightMap tensors;
  for (const auto& [name, shape] : entries)
    tensors[name] = ConstTensorView(&byte, DType::kBF16, shape);
  return Identify(tensors);
}

const std::pair<std::string, Shape> kBlock = {"double_blocks.0.img_attn.qkv.weight", {3, 1}};
const std::pair<std::string, Shape> kGuided = {"guidance_in.in_layer.weight", {1, 1}};
const std::pair<std::string, Shape> kVae = {"vae.decoder.conv_in.weight", {1, 16, 3, 3}};
const std::pair<std::string, Shape> kClip = {
    "text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight",
    {768, 768}};

TEST(Identify, VariantsOfFlux) {
  const Identity kontext = Of({kBlock, kGuided, {"img_in.weight", {1, 64}}});
  EXPECT_THAT(kontext.description, HasSubstr("[dev] or Kontext"));
  EXPECT_TRUE(kontext.fits());
  EXPECT_EQ(kontext.layout, "BFL");
  const auto unfit = [](const Entries& entries, const char* says) {
    const Identity id = Of(entries);
    EXPECT_THAT(id.description, HasSubstr(says));
    EXPECT_FALSE(id.fits());
    EXPECT_THAT(id.instead, HasSubstr("flux1-kontext-dev.safetensors"));
  };
  unfit({kBlock, kGuided, {"img_in.weight", {1, 384}}}, "Fill");
  unfit({kBlock, kGuided, {"model.diffusion_model.img_in.weight", {1, 128}}}, "Canny or Depth");
  unfit({kBlock, {"img_in.weight", {1, 64}}}, "schnell");
  unfit({{"transformer_blocks.0.attn.add_q_proj.weight", {1, 1}}, {"x_embedder.weight", {1, 384}}},
        "Fill");
}

TEST(Identify, AllInOne) {
  const Identity all = Of({kBlock, kGuided, kVae, kClip});
  EXPECT_EQ(all.family, Family::kAllInOne);
  EXPECT_THAT(all.description, HasSubstr("all-in-one"));
  EXPECT_THAT(all.parts, ElementsAre(Family::kFluxTransformer, Family::kClip, Family::kFluxVae));
  EXPECT_TRUE(all.fits());
  EXPECT_FALSE(all.Holds(Family::kT5));
  // One part that does not fit spoils the file.
  EXPECT_FALSE(Of({kBlock, kGuided, {"vae.decoder.conv_in.weight", {1, 4, 3, 3}}}).fits());
}

TEST(Identify, TextEncoders) {
  const auto clip = [](int64_t width) {
    return Of({{"text_model.encoder.layers.0.self_attn.q_proj.weight", {width, width}},
               {"text_model.embeddings.token_embedding.weight", {49408, width}}});
  };
  EXPECT_EQ(clip(768).description, "the CLIP-L text encoder");
  EXPECT_TRUE(clip(768).fits());
  EXPECT_TRUE(clip(64).fits());  // a small model's own
  EXPECT_THAT(clip(1280).description, HasSubstr("CLIP-G"));
  EXPECT_THAT(clip(1280).instead, HasSubstr("clip_l.safetensors"));
  EXPECT_FALSE(clip(1024).fits());
  EXPECT_FALSE(Of({{"vision_model.encoder.layers.0.self_attn.q_proj.weight", {768, 768}}}).fits());
  const auto t5 = [](int64_t width, int64_t vocab, const char* up) {
    return Of({{"encoder.block.0.layer.0.SelfAttention.q.weight", {width, width}},
               {"shared.weight", {vocab, width}},
               {std::string("encoder.block.0.layer.1.DenseReluDense.") + up, {1, width}}});
  };
  EXPECT_EQ(t5(4096, 32128, "wi_0.weight").description, "the T5-XXL text encoder");
  EXPECT_TRUE(t5(128, 530, "wi_0.weight").fits());
  EXPECT_THAT(t5(4096, 256384, "wi_0.weight").description, HasSubstr("UMT5"));
  EXPECT_THAT(t5(1024, 32128, "wi_0.weight").description, HasSubstr("smaller T5"));
  EXPECT_FALSE(t5(4096, 32128, "wi.weight").fits());
}

TEST(Identify, Autoencoders) {
  const auto vae = [](const Shape& conv_in) {
    return Of({{"decoder.conv_in.weight", conv_in}, {"encoder.conv_in.weight", {128, 3, 3, 3}}});
  };
  EXPECT_TRUE(vae({512, 16, 3, 3}).fits());
  EXPECT_THAT(vae({512, 4, 3, 3}).description, HasSubstr("Stable Diffusion"));
  EXPECT_THAT(vae({512, 32, 3, 3}).description, HasSubstr("FLUX.2"));
  EXPECT_THAT(vae({512, 16, 3, 3, 3}).description, HasSubstr("video"));
  EXPECT_FALSE(vae({}).instead.empty() && vae({}).description.empty());  // rank 0: no crash
  EXPECT_FALSE(
      Of({{"decoder.conv_in.weight", {512, 16, 3, 3}}, {"decoder.conv_out.weight", {3, 128, 3, 3}}})
          .fits());
}

TEST(Identify, OtherModels) {
  const auto other = [](const char* name, const char* says) {
    const Identity id = Of({{name, {1, 1}}});
    EXPECT_EQ(id.family, Family::kOtherModel);
    EXPECT_THAT(id.description, HasSubstr(says));
    EXPECT_FALSE(id.fits());
  };
  other("double_stream_modulation_img.lin.weight", "FLUX.2");
  other("model.diffusion_model.input_blocks.0.0.weight", "U-Net");
  other("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3");
  other("conditioner.embedders.1.model.ln_final.weight", "XL");
  other("model.layers.0.self_attn.q_proj.weight", "language model");
  EXPECT_EQ(Of({{"a", {1}}, {"", {}}}).family, Family::kUnknown);
  EXPECT_EQ(Of({}).description, "");
}

TEST(Identify, Loras) {
  const Identity lora = Of({{"transformer.a.lora_A.weight", {1, 1}}});
  EXPECT_EQ(lora.family, Family::kLora);
  EXPECT_THAT(lora.description, HasSubstr("--lora"));
  EXPECT_THAT(Of({{"lora_unet_input_blocks_1_1.lora_up.weight", {1, 1}}}).description,
              HasSubstr("Stable Diffusion"));
}

TEST(Identify, MainEncodingIsThatOfMostParameters) {
  const float f32[4] = {};
  const std::byte byte{};
  WeightMap tensors;
  EXPECT_EQ(MainEncoding(tensors), "");
  tensors["a"] = ConstTensorView(reinterpret_cast<const std::byte*>(f32), DType::kF32, {4});
  tensors["b"] = ConstTensorView(&byte, DType::kBF16, {100, 100});
  tensors["c"] = tensors["a"];
  EXPECT_EQ(MainEncoding(tensors), "BF16");
}

}  // namespace
}  // namespace kontext
