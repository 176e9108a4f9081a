#include "weights/dialect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kontext {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

using Tensors = WeightMap;

const float kValues[64] = {};

void Add(Tensors& tensors, const std::string& name, const Shape& shape) {
  tensors[name] = ViewOf(kValues, shape);
}

constexpr TransformerNames kTiny{1, 1, /*hidden=*/4, /*mlp=*/8};

std::unique_ptr<CheckpointSource> Open(const Tensors& tensors, std::vector<NameTable> dialects) {
  auto source = CheckpointSource::Create(tensors, "file.safetensors", dialects);
  EXPECT_TRUE(source.ok()) << source.message();
  return source.ok() ? std::move(*source) : nullptr;
}

int64_t Offset(const WeightRows& piece) { return piece.dense().As<float>() - kValues; }

TEST(Dialect, StacksQkvOfDiffusersAndSwapsItsFinalHalves) {
  Tensors tensors;
  Add(tensors, "x_embedder.weight", {4, 2});
  for (const char* which : {"to_q", "to_k", "to_v"}) {
    Add(tensors, fmt::format("transformer_blocks.0.attn.{}.weight", which), {4, 4});
  }
  Add(tensors, "norm_out.linear.weight", {8, 4});
  const auto source = Open(tensors, TransformerDialects(kTiny));
  EXPECT_EQ(source->description(), "file.safetensors (Diffusers names)");

  const auto qkv = source->Find("double_blocks.0.img_attn.qkv.weight", {12, 4});
  ASSERT_TRUE(qkv.ok());
  EXPECT_EQ(qkv->size(), 3u);
  EXPECT_EQ(source->NameInSource("double_blocks.0.img_attn.qkv.weight"),
            "transformer_blocks.0.attn.to_q.weight + transformer_blocks.0.attn.to_k.weight + "
            "transformer_blocks.0.attn.to_v.weight");

  const auto final = source->Find("final_layer.adaLN_modulation.1.weight", {8, 4});
  ASSERT_TRUE(final.ok());
  ASSERT_EQ(final->size(), 2u);
  EXPECT_EQ(Offset(final->at(0)), 16);  // rows [4, 8) are the shift, which is first with us
  EXPECT_EQ(Offset(final->at(1)), 0);
  EXPECT_EQ(source->NameInSource("final_layer.adaLN_modulation.1.weight"),
            "norm_out.linear.weight");
  EXPECT_THAT(source->Unasked(), ElementsAre("x_embedder.weight"));
}

TEST(Dialect, ReportsPartsThatAreMissingOrOfTheWrongSize) {
  Tensors tensors;
  Add(tensors, "x_embedder.weight", {4, 2});
  Add(tensors, "transformer_blocks.0.attn.to_q.weight", {4, 4});
  Add(tensors, "transformer_blocks.0.attn.to_v.weight", {4, 4});
  Add(tensors, "transformer_blocks.0.attn.add_q_proj.weight", {8, 4});
  Add(tensors, "transformer_blocks.0.attn.add_k_proj.weight", {2, 4});
  Add(tensors, "transformer_blocks.0.attn.add_v_proj.weight", {2, 4});
  Add(tensors, "norm_out.linear.weight", {4, 4});  // twice this would be as large as what is needed
  tensors["norm_out.linear.bias"] = ViewOf(kValues, {});
  const auto source = Open(tensors, TransformerDialects(kTiny));
  EXPECT_EQ(source->Find("double_blocks.0.img_attn.qkv.weight", {12, 4}).message(),
            "missing \"transformer_blocks.0.attn.to_k.weight\"");
  EXPECT_EQ(source->Find("double_blocks.0.txt_attn.qkv.weight", {12, 4}).message(),
            "\"transformer_blocks.0.attn.add_q_proj.weight\" is [8,4], expected 4 rows");
  EXPECT_EQ(source->Find("final_layer.adaLN_modulation.1.weight", {8, 4}).message(),
            "\"norm_out.linear.weight\" is [4,4], expected 8 rows");
  EXPECT_EQ(source->Find("final_layer.adaLN_modulation.1.bias", {8}).message(),
            "\"norm_out.linear.bias\" is [], expected 8 rows");
}

TEST(Dialect, ReadsFusedProjections) {
  Tensors tensors;
  Add(tensors, "x_embedder.weight", {4, 2});
  Add(tensors, "single_transformer_blocks.0.attn.to_qkv.bias", {12});
  Add(tensors, "single_transformer_blocks.0.proj_mlp.bias", {8});
  const auto source = Open(tensors, TransformerDialects(kTiny));
  const auto bias = source->Find("single_blocks.0.linear1.bias", {20});
  ASSERT_TRUE(bias.ok()) << bias.message();
  EXPECT_EQ(bias->size(), 2u);
}

TEST(Dialect, StripsPrefixesAndLeavesOtherNetworksAlone) {
  for (const char* prefix :
       {"", "model.diffusion_model.", "diffusion_model.", "model.", "transformer."}) {
    Tensors tensors;
    const std::string p = prefix;
    Add(tensors, p + "img_in.weight", {4, 2});
    Add(tensors, p + "double_blocks.0.img_attn.norm.query_norm.weight", {2});  // alias of .scale
    Add(tensors, p + "surplus", {2});
    Add(tensors, "vae.decoder.conv_in.weight", {2, 2, 1, 1});
    const auto source = Open(tensors, TransformerDialects(kTiny));
    EXPECT_EQ(source->dialect(), "BFL");
    EXPECT_EQ(source->prefix(), p);
    EXPECT_EQ(source->Find("img_in.weight", {4, 2})->size(), 1u);
    EXPECT_EQ(source->Find("double_blocks.0.img_attn.norm.query_norm.scale", {2})->size(), 1u);
    EXPECT_TRUE(source->Find("txt_in.weight", {4, 2})->empty());
    EXPECT_THAT(source->Unasked(), ElementsAre(p + "surplus"));
  }
}

// Which of the two was meant cannot be known, and neither is taken for the other's surplus.
TEST(Dialect, RefusesANetworkUnderTwoPrefixes) {
  Tensors tensors;
  for (const char* p : {"model.diffusion_model.", "transformer."}) {
    Add(tensors, std::string(p) + "img_in.weight", {4, 2});
    Add(tensors, std::string(p) + "double_blocks.0.img_attn.qkv.weight", {12, 4});
  }
  const auto refused = CheckpointSource::Create(tensors, "f", TransformerDialects(kTiny));
  EXPECT_EQ(refused.code(), Code::kBadInput);
  EXPECT_THAT(refused.message(), AllOf(HasSubstr("\"model.diffusion_model.img_in.weight\""),
                                       HasSubstr("\"transformer.img_in.weight\"")));
  tensors.erase("transformer.img_in.weight");
  tensors.erase("transformer.double_blocks.0.img_attn.qkv.weight");
  EXPECT_EQ(Open(tensors, TransformerDialects(kTiny))->prefix(), "model.diffusion_model.");
}

TEST(Dialect, KnowsTheVaesNamesOldAndNew) {
  Tensors tensors;
  for (const char* name :
       {"encoder.conv_norm_out.weight", "encoder.mid_block.attentions.0.query.weight",
        "encoder.mid_block.attentions.0.to_k.weight", "decoder.up_blocks.0.upsamplers.0.conv.bias",
        "decoder.up_blocks.3.resnets.2.conv_shortcut.weight"}) {
    Add(tensors, name, {1});
  }
  const auto source = Open(tensors, VaeDialects({4, 2}));
  EXPECT_EQ(source->dialect(), "Diffusers");
  for (const char* name :
       {"encoder.norm_out.weight", "encoder.mid.attn_1.q.weight", "encoder.mid.attn_1.k.weight",
        "decoder.up.3.upsample.conv.bias", "decoder.up.0.block.2.nin_shortcut.weight"}) {
    EXPECT_EQ(source->Find(name, {1})->size(), 1u) << name;
  }
  EXPECT_THAT(source->Unasked(), ElementsAre());
}

TEST(Dialect, ReadsClipWithAndWithoutItsPrefix) {
  for (const char* prefix : {"", "text_model."}) {
    Tensors tensors;
    const std::string p = prefix;
    Add(tensors, p + "embeddings.position_embedding.weight", {1, 1});
    Add(tensors, p + "encoder.layers.1.mlp.fc2.bias", {1});
    Add(tensors, p + "embeddings.position_ids", {1, 1});
    Add(tensors, "text_projection.weight", {1, 1});
    Add(tensors, "logit_scale", {});
    const auto source = Open(tensors, ClipDialects(2));
    EXPECT_EQ(source->Find("text_model.embeddings.position_embedding.weight", {1, 1})->size(), 1u);
    EXPECT_EQ(source->Find("text_model.encoder.layers.1.mlp.fc2.bias", {1})->size(), 1u);
    EXPECT_TRUE(source->Unasked().empty());
  }
}

TEST(Dialect, TakesEitherNameOfT5sTable) {
  Tensors tensors;
  Add(tensors, "encoder.embed_tokens.weight", {1, 1});
  Add(tensors, "decoder.block.0.weight", {1});
  Add(tensors, "lm_head.weight", {1, 1});
  const auto one = Open(tensors, T5Dialects());
  EXPECT_EQ(one->Find("shared.weight", {1, 1})->size(), 1u);
  EXPECT_TRUE(one->Unasked().empty());
  Add(tensors, "shared.weight", {1, 1});
  const auto both = Open(tensors, T5Dialects());
  EXPECT_EQ(both->Find("shared.weight", {1, 1})->size(), 1u);
  EXPECT_TRUE(both->Unasked().empty());
}

TEST(Dialect, SaysWhatAnUnfittingFileIs) {
  Tensors clip;
  Add(clip, "text_model.encoder.layers.0.self_attn.q_proj.weight", {1, 1});
  const auto source =
      CheckpointSource::Create(clip, "clip_l.safetensors", TransformerDialects(kTiny));
  EXPECT_EQ(source.code(), Code::kBadInput);
  EXPECT_THAT(source.message(),
              AllOf(HasSubstr("clip_l.safetensors: none of its 1 tensors"),
                    HasSubstr("\"img_in.weight\" (BFL) or \"x_embedder.weight\" (Diffusers)"),
                    HasSubstr("It looks like a CLIP text encoder")));
}

}  // namespace
}  // namespace kontext
