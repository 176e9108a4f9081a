// The names of GGUF files at FLUX.1's real size, against the index files of FLUX.1 [dev] and by
// rules of its own (gguf-py; stable-diffusion.cpp).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "model/config_from_shapes.h"
#include "weights/dialect.h"
#include "weights/identify.h"

namespace kontext {
namespace {

using testing::IsEmpty;

const float kNumbers[1] = {};

std::vector<std::string> IndexNames(const std::string& file) {
  std::ifstream in(KX_SOURCE_DIR "/tests/data/flux1/" + file);
  std::vector<std::string> names;
  const auto index = nlohmann::json::parse(in);
  for (const auto& [name, shard] : index.at("weight_map").items()) names.push_back(name);
  return names;
}

// A name of Hugging Face's T5 as gguf-py writes it: by its dots, not by a table.
std::string LlamaCppName(const std::string& name) {
  std::vector<std::string> word;
  std::istringstream in(name);
  for (std::string w; std::getline(in, w, '.');) word.push_back(w);
  if (word[0] == "shared") return "token_embd.weight";
  if (word[1] == "final_layer_norm") return "enc.output_norm.weight";
  const std::string block = "enc.blk." + word[2] + ".", what = word[5];
  if (what == "layer_norm") return block + (word[4] == "0" ? "attn_norm" : "ffn_norm") + ".weight";
  if (word[5] == "SelfAttention") {
    return block + (word[6].size() == 1 ? "attn_" + word[6] : "attn_rel_b") + ".weight";
  }
  const bool gate = word[6] == "wi_0", up = word[6] == "wi_1";
  return block + (gate ? "ffn_gate" : up ? "ffn_up" : "ffn_down") + ".weight";
}

// T5-XXL's shapes (spec weights 4), by the last words of a name.
Shape ShapeOf(const std::string& name) {
  const auto ends = [&](const char* end) { return name.ends_with(std::string(end) + ".weight"); };
  if (ends("shared")) return {32128, 4096};
  if (ends("relative_attention_bias")) return {32, 64};
  if (ends("layer_norm")) return {4096};
  if (ends("wi_0") || ends("wi_1")) return {10240, 4096};
  return ends("wo") ? Shape{4096, 10240} : Shape{4096, 4096};
}

TEST(GgufNames, T5OfLlamaCpp) {
  const std::vector<std::string> names = IndexNames("text_encoder_2/model.safetensors.index.json");
  ASSERT_EQ(names.size(), 219u);
  WeightMap tensors;
  for (const std::string& name : names) {
    const ConstTensorView view(reinterpret_cast<const std::byte*>(kNumbers), DType::kF32,
                               ShapeOf(name));
    EXPECT_TRUE(tensors.emplace(LlamaCppName(name), view).second) << name;
  }
  EXPECT_EQ(Identify(tensors).description, "the T5-XXL text encoder");
  EXPECT_EQ(Identify(tensors).layout, "llama.cpp");
  const auto config = T5ConfigFromShapes(tensors, "t5.gguf", {});
  ASSERT_TRUE(config.ok()) << config.message();
  EXPECT_EQ(config->layers, 24);
  EXPECT_EQ(config->heads, 64);
  EXPECT_EQ(config->ff, 10240);
  EXPECT_EQ(config->vocab, 32128);

  // What a file may have beside them: the decoder, and the positions again in each block.
  tensors["dec.blk.0.attn_q.weight"] = ViewOf(kNumbers, {1});
  tensors["output.weight"] = ViewOf(kNumbers, {1});
  tensors["enc.blk.23.attn_rel_b.weight"] = ViewOf(kNumbers, {1});
  const auto source = CheckpointSource::Create(tensors, "t5.gguf", T5Dialects());
  ASSERT_TRUE(source.ok()) << source.message();
  EXPECT_EQ((*source)->dialect(), "llama.cpp");
  for (const std::string& name : names) {
    const auto pieces = (*source)->Find(name, ShapeOf(name));
    ASSERT_TRUE(pieces.ok()) << pieces.message();
    ASSERT_EQ(pieces->size(), 1u) << name;
    EXPECT_EQ(pieces->at(0).shape(), ShapeOf(name)) << name;
    EXPECT_EQ((*source)->NameInSource(name), LlamaCppName(name));
  }
  EXPECT_THAT((*source)->Unasked(), IsEmpty());
}

// stable-diffusion.cpp's converter leaves the text encoders Hugging Face's names, with or without
// the prefixes of a ComfyUI file.
TEST(GgufNames, TextEncodersOfStableDiffusionCpp) {
  for (const char* prefix : {"", "text_encoders.t5xxl.transformer."}) {
    WeightMap tensors;
    for (const std::string& name : IndexNames("text_encoder_2/model.safetensors.index.json")) {
      tensors[prefix + name] = ViewOf(kNumbers, {1});
    }
    const auto source = CheckpointSource::Create(tensors, "t5.gguf", T5Dialects());
    ASSERT_TRUE(source.ok()) << source.message();
    EXPECT_EQ((*source)->prefix(), prefix);
    const std::string last = "encoder.block.23.layer.1.DenseReluDense.wo.weight";
    EXPECT_EQ((*source)->Find(last, {1})->size(), 1u);
  }
  for (const char* prefix :
       {"", "text_encoders.clip_l.transformer.", "cond_stage_model.transformer."}) {
    WeightMap tensors;
    for (const char* name : {"embeddings.position_embedding", "encoder.layers.11.mlp.fc2"}) {
      tensors[prefix + ("text_model." + std::string(name)) + ".weight"] = ViewOf(kNumbers, {1});
    }
    const auto source = CheckpointSource::Create(tensors, "clip.gguf", ClipDialects(12));
    ASSERT_TRUE(source.ok()) << source.message();
    EXPECT_EQ((*source)->prefix(), prefix);
    EXPECT_EQ((*source)->Find("text_model.encoder.layers.11.mlp.fc2.weight", {1})->size(), 1u);
    EXPECT_EQ((*source)->Find("text_model.embeddings.position_embedding.weight", {1})->size(), 1u);
    EXPECT_THAT((*source)->Unasked(), IsEmpty());
  }
}

}  // namespace
}  // namespace kontext
