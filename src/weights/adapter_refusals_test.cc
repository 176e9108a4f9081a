// Adapter files that do not fit, or fit in part: what is said about them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "adapter_file.h"
#include "weights/adapter.h"

namespace kontext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace adapter_test;  // NOLINT: its few names are this file's, too

TEST(AdapterRefusals, SaysWhatItDidNotUse) {  // 13
  File file;
  AddPair(file, "transformer.transformer_blocks.0.attn.to_q", kD, kD);
  AddPair(file, "transformer.transformer_blocks.7.attn.to_q", kD, kD);
  AddPair(file, "transformer.transformer_blocks.0.attn.to_k", kD + 1, kD);
  file.Alpha("something.else", 1.0f);
  const Adapter a = file.Parsed();
  EXPECT_EQ(a.keys, 7);
  EXPECT_EQ(a.used, 2);
  EXPECT_THAT(a.unused, ElementsAre("something.else",
                                    "transformer.transformer_blocks.7.attn.to_q.lora_A.weight",
                                    "transformer.transformer_blocks.7.attn.to_q.lora_B.weight"));
  EXPECT_THAT(a.skipped, ElementsAre(HasSubstr("makes it [9,8], expected [8,8]")));
  File nothing;
  AddPair(nothing, "model.layers.0.self_attn.q_proj", kD, kD);
  EXPECT_THAT(nothing.Parse().message(),
              HasSubstr("none of its 2 keys names a part of this model"));
}

TEST(AdapterRefusals, PeftKeepsItsScaleApart) {
  const std::string module = "base_model.model.transformer_blocks.0.attn.to_q";
  File file;
  AddPair(file, module, kD, kD);
  file.file().config = R"({"r": 2, "lora_alpha": 6})";
  EXPECT_EQ(file.Parsed().terms[0].factor, 3.0f);
  file.file().config = R"({"r": 2, "lora_alpha": 6, "use_rslora": true})";
  EXPECT_FLOAT_EQ(file.Parsed().terms[0].factor, 6.0f / std::sqrt(2.0f));
  file.file().config = R"({"lora_alpha": 6, "alpha_pattern": {"attn.to_q": 8, "to_k": 1}})";
  EXPECT_EQ(file.Parsed().terms[0].factor, 4.0f);
  file.file().metadata["lora_adapter_metadata"] =
      R"({"transformer.r": 2, "transformer.lora_alpha": 1})";
  EXPECT_EQ(file.Parsed().terms[0].factor, 0.5f) << "the file's own word goes first";
  file.file().metadata["lora_adapter_metadata"] = R"({"transformer.lora_alpha": "one"})";
  EXPECT_THAT(file.Parse().message(), HasSubstr("lora_adapter_metadata"));
  file.file().metadata["lora_adapter_metadata"] = "[";
  EXPECT_EQ(file.Parse().code(), Code::kBadInput);
}

TEST(AdapterRefusals, DiffusersNamesGoBeforeLeftovers) {
  File file;
  AddPair(file, "transformer.transformer_blocks.0.attn.to_q", kD, kD);
  AddPair(file, "lora_unet_double_blocks_0_img_attn_proj", kD, kD);
  const Adapter a = file.Parsed();
  EXPECT_EQ(a.terms.size(), 1u);
  EXPECT_EQ(a.unused.size(), 2u);
}

TEST(AdapterRefusals, OneWeightUnderTwoNamesIsChangedOnce) {
  File file;
  AddPair(file, "diffusion_model.double_blocks.0.img_attn.qkv", 3 * kD, kD);
  AddPair(file, "diffusion_model.transformer_blocks.0.attn.to_k", kD, kD);
  const Adapter a = file.Parsed();
  EXPECT_EQ(a.terms.size(), 1u);
  EXPECT_THAT(a.skipped, ElementsAre(HasSubstr("another name")));
}

TEST(AdapterRefusals, RefusesByName) {
  const auto refusal = [](const std::string& key, const Shape& shape) {
    File file;
    AddPair(file, "double_blocks.0.img_attn.proj", kD, kD);
    return file.Fill(key, shape, "x").Parse().message();
  };
  EXPECT_THAT(refusal("img_in.lora_A.weight", {kR, 128}), HasSubstr("Canny or Depth (control)"));
  EXPECT_THAT(refusal("lora_unet_img_in.lora_down.weight", {kR, 384}), HasSubstr("Fill"));
  EXPECT_THAT(refusal("transformer.x_embedder.lora_A.weight", {kR, 128}), HasSubstr("control"));
  EXPECT_THAT(refusal("lora_unet_x.a1.weight", {1}), HasSubstr("GLoRA"));
  EXPECT_THAT(refusal("lycoris_x.oft_blocks", {1}), HasSubstr("OFT"));
  EXPECT_THAT(refusal("lycoris_x.lokr_t2", {1}), HasSubstr("Tucker"));
  EXPECT_THAT(refusal("transformer_blocks.0.qkv_proj.lora_down", {1}), HasSubstr("nunchaku"));
}

TEST(AdapterRefusals, HostileSizesAreSkipped) {
  const std::string module = "lora_unet_double_blocks_0_img_attn_proj";
  const auto problem = [&](const std::vector<std::pair<const char*, Shape>>& tensors) {
    File file;
    for (const auto& [ending, shape] : tensors) file.Fill(module + ending, shape, "x");
    return file.Parse().message();
  };
  EXPECT_THAT(problem({{".lora_A.weight", {0, kD}}, {".lora_B.weight", {kD, 0}}}),
              HasSubstr("expected a matrix"));
  EXPECT_THAT(problem({{".lora_A.weight", {kD}}, {".lora_B.weight", {kD}}}),
              HasSubstr("expected a matrix"));
  EXPECT_THAT(problem({{".lora_A.weight", {kR, kD}}}), HasSubstr("lacks its other half"));
  EXPECT_THAT(problem({{".lora_A.weight", {900, kD}}, {".lora_B.weight", {kD, 900}}}),
              HasSubstr("no product of rank 1 to 8"));
  EXPECT_THAT(problem({{".lokr_w1", {3, 3}}, {".lokr_w2", {3, 3}}}), HasSubstr("Kronecker"));
  EXPECT_THAT(problem({{".alpha", {}}}), HasSubstr("no pair"));
  EXPECT_THAT(problem({{".diff", {kD, kD}}, {".dora_scale", {5}}}), HasSubstr("dora_scale"));
  EXPECT_THAT(problem({{".diff", {kD, kD}}, {".diff_b", {5}}}), HasSubstr("diff_b"));
  File nan;
  AddPair(nan, module, kD, kD);
  nan.Alpha(module + ".alpha", NAN);
  EXPECT_THAT(nan.Parse().message(), HasSubstr("expected one finite number"));
}

}  // namespace
}  // namespace kontext
