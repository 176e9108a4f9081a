// The dialects of the text encoders (spec weights 4). Ours are Hugging Face's names.
#include <fmt/format.h>

#include <utility>

#include "weights/dialect.h"

namespace kontext {
namespace {

constexpr const char* kModel = "text_model.";
constexpr int64_t kMostT5Blocks = 24;  // T5-XXL's; names that a smaller one has not are not asked

// Every name of CLIP's text tower after "text_model.".
std::vector<std::string> ClipTensors(int64_t layers) {
  std::vector<std::string> names = {"embeddings.token_embedding.weight",
                                    "embeddings.position_embedding.weight",
                                    "final_layer_norm.weight", "final_layer_norm.bias"};
  for (int64_t i = 0; i < layers; ++i) {
    for (const char* layer : {"layer_norm1", "layer_norm2", "self_attn.q_proj", "self_attn.k_proj",
                              "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"}) {
      for (const char* kind : {"weight", "bias"}) {
        names.push_back(fmt::format("encoder.layers.{}.{}.{}", i, layer, kind));
      }
    }
  }
  return names;
}

// llama.cpp's names of T5's encoder in GGUF files (gguf-py constants.py and tensor_mapping.py,
// t5encoder; spec weights 7.4). A full T5 (architecture "t5") has its decoder beside it.
NameTable LlamaCppT5() {
  NameTable table;
  table.dialect = "llama.cpp";
  table.prefixes = {""};
  table.probes = {"token_embd.weight", "enc.output_norm.weight", "enc.blk.0.attn_q.weight",
                  "enc.blk.0.ffn_gate.weight"};
  table.ignored = {"dec.", "output."};
  const auto add = [&](const std::string& ours, const std::string& theirs) {
    table.names[ours + ".weight"] = {{FilePart{theirs + ".weight"}}};
  };
  add("shared", "token_embd");
  add("encoder.final_layer_norm", "enc.output_norm");
  add("encoder.block.0.layer.0.SelfAttention.relative_attention_bias", "enc.blk.0.attn_rel_b");
  constexpr std::pair<const char*, const char*> kLayers[] = {
      {"layer.0.SelfAttention.q", "attn_q"},     {"layer.0.SelfAttention.k", "attn_k"},
      {"layer.0.SelfAttention.v", "attn_v"},     {"layer.0.SelfAttention.o", "attn_o"},
      {"layer.0.layer_norm", "attn_norm"},       {"layer.1.DenseReluDense.wi_0", "ffn_gate"},
      {"layer.1.DenseReluDense.wi_1", "ffn_up"}, {"layer.1.DenseReluDense.wo", "ffn_down"},
      {"layer.1.layer_norm", "ffn_norm"}};
  for (int64_t b = 0; b < kMostT5Blocks; ++b) {
    for (const auto& [ours, theirs] : kLayers) {
      add(fmt::format("encoder.block.{}.{}", b, ours), fmt::format("enc.blk.{}.{}", b, theirs));
    }
    // Block 0's table of positions serves all; some files repeat it.
    if (b > 0) table.ignored.push_back(fmt::format("enc.blk.{}.attn_rel_b.weight", b));
  }
  return table;
}

}  // namespace

std::vector<NameTable> ClipDialects(int64_t layers) {
  NameTable full;
  full.dialect = "Hugging Face";
  full.prefixes = {"", "text_encoders.clip_l.transformer.", "clip_l.transformer.",
                   "cond_stage_model.transformer."};
  full.canonical = true;
  // Positions as a list, and what only the pairing with pictures needs.
  full.ignored = {"text_model.embeddings.position_ids", "text_projection.weight", "logit_scale"};

  NameTable bare = full;
  bare.dialect = "Hugging Face, without text_model.";
  bare.canonical = false;
  bare.ignored = {"embeddings.position_ids", "text_projection.weight", "logit_scale"};
  for (const std::string& name : ClipTensors(layers))
    bare.names[kModel + name] = {{FilePart{name}}};

  // CLIP's own names, which T5 has not: the position table and the first layer's norm.
  bare.probes = {"embeddings.position_embedding.weight", "embeddings.token_embedding.weight",
                 "encoder.layers.0.layer_norm1.weight", "final_layer_norm.weight"};
  for (const std::string& probe : bare.probes) full.probes.push_back(kModel + probe);
  return {full, bare};
}

std::vector<NameTable> T5Dialects() {
  NameTable table;
  table.dialect = "Hugging Face";
  table.prefixes = {"", "text_encoders.t5xxl.transformer.", "t5xxl.transformer."};
  table.probes = {"shared.weight", "encoder.embed_tokens.weight", "encoder.final_layer_norm.weight",
                  "encoder.block.0.layer.0.SelfAttention.q.weight"};
  table.canonical = true;
  table.names["shared.weight"] = {{FilePart{"shared.weight"}},
                                  {FilePart{"encoder.embed_tokens.weight"}}};
  table.ignored = {"decoder.", "lm_head."};
  return {table, LlamaCppT5()};
}

}  // namespace kontext
