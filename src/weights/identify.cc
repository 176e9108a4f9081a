#include "weights/identify.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <map>

namespace kontext {
namespace {

constexpr const char* kGetKontext =
    "get FLUX.1 Kontext [dev] (flux1-kontext-dev.safetensors, its fp8 or its GGUF form)";
constexpr const char* kGetVae = "get ae.safetensors, FLUX.1's autoencoder";
constexpr const char* kGetClip = "get clip_l.safetensors";
constexpr const char* kGetT5 = "get t5xxl_fp16.safetensors, or its fp8 or GGUF form";

bool IsLora(const TensorNames& names) {
  constexpr const char* kParts[] = {"lora_A.",  "lora_B.",  "lora_down.",
                                    "lora_up.", ".lokr_w1", ".hada_w1_a"};
  return std::any_of(std::begin(kParts), std::end(kParts),
                     [&](const char* part) { return names.AnyContains(part); });
}

Identity Lora(const TensorNames& names) {
  Identity id;
  id.family = Family::kLora;
  const bool unet = names.AnyContains("lora_unet_input_blocks") ||
                    names.AnyContains("lora_unet_down_blocks") ||
                    names.AnyContains("unet.down_blocks");
  id.is_adapter = !unet;
  id.description = unet ? "a LoRA for Stable Diffusion" : "a LoRA: pass it with --lora";
  id.instead = unet ? "get a LoRA made for FLUX.1" : "pass it with --lora, beside a model";
  return id;
}

// The first of `ends` that a name has, as an index; -1 if none.
int FirstOf(const TensorNames& names, std::initializer_list<const char*> ends) {
  int i = 0;
  for (const char* end : ends) {
    if (names.EndingWith(end) != nullptr) return i;
    ++i;
  }
  return -1;
}

// FLUX.1's variants differ in the width of img_in and in guidance_in (spec weights 11.5); dev and
// Kontext in nothing that tensors show.
Identity Transformer(const TensorNames& names) {
  Identity id;
  const int layout = FirstOf(
      names, {"double_blocks.0.img_attn.qkv.weight", "transformer_blocks.0.attn.add_q_proj.weight",
              "transformer_blocks.0.attn.to_added_qkv.weight"});
  if (layout < 0) return id;
  id.family = Family::kFluxTransformer;
  id.layout = layout == 0 ? "BFL" : "Diffusers";
  id.parts = {Family::kFluxTransformer};
  const int64_t width = std::max(names.Dim("img_in.weight", 1), names.Dim("x_embedder.weight", 1));
  const bool guided =
      FirstOf(names, {"guidance_in.in_layer.weight", "guidance_embedder.linear_1.weight"}) >= 0;
  if (width == 384) {
    id.description = "FLUX.1 Fill (img_in takes 384 channels, Kontext's takes 64)";
  } else if (width == 128) {
    id.description = "FLUX.1 Canny or Depth (img_in takes 128 channels, Kontext's takes 64)";
  } else if (!guided) {
    id.description = "FLUX.1 [schnell] (no guidance_in), not Kontext";
  } else {
    id.description = "a FLUX.1 [dev] or Kontext transformer";
    return id;
  }
  id.instead = kGetKontext;
  return id;
}

Identity Vae(const TensorNames& names) {
  Identity id;
  const WeightRows* conv_in = names.EndingWith("decoder.conv_in.weight");
  if (conv_in == nullptr) return id;
  id.family = Family::kFluxVae;
  id.parts = {Family::kFluxVae};
  const int layout = FirstOf(names, {"decoder.norm_out.weight", "decoder.conv_norm_out.weight"});
  id.layout = layout == 0 ? "BFL" : layout == 1 ? "Diffusers" : "";
  const int64_t z = conv_in->rank() > 1 ? conv_in->dim(1) : 0;
  const bool quant = FirstOf(names, {"quant_conv.weight"}) >= 0;
  if (conv_in->rank() == 5) {
    id.description = "the autoencoder of a video model";
  } else if (z == 4) {
    id.description = "the VAE of Stable Diffusion 1, 2 or XL (4 latent channels, FLUX.1's has 16)";
  } else if (z == 32) {
    id.description = "FLUX.2's VAE (32 latent channels, FLUX.1's has 16)";
  } else if (quant) {
    id.description = "a VAE with quant_conv layers, which FLUX.1's has not";
  } else if (names.EndingWith("decoder.conv_out.weight") != nullptr &&
             names.EndingWith("encoder.conv_in.weight") == nullptr) {
    id.description = "a VAE's decoder without its encoder, which an edit needs, too";
  } else {
    id.description = fmt::format("a VAE ({} latent channels)", z);
    return id;
  }
  id.instead = kGetVae;
  return id;
}

Identity Clip(const TensorNames& names) {
  Identity id;
  const WeightRows* q = names.EndingWith("encoder.layers.0.self_attn.q_proj.weight");
  if (q == nullptr) return id;
  id.family = Family::kClip;
  id.parts = {Family::kClip};
  id.layout = "Hugging Face";
  const int64_t width = q->rank() == 2 ? q->dim(1) : 0;
  if (names.AnyContains("vision_model.") &&
      names.EndingWith("embeddings.token_embedding.weight") == nullptr) {
    id.description = "the picture half of a CLIP model, without its text encoder";
  } else if (width == 1280) {
    id.description = "CLIP-G, the second text encoder of SDXL and SD3 (FLUX.1's is CLIP-L)";
  } else if (width == 1024) {
    id.description = "the CLIP text encoder of Stable Diffusion 2 (FLUX.1's is CLIP-L)";
  } else {
    id.description = width == 768 ? "the CLIP-L text encoder"
                                  : fmt::format("a CLIP text encoder of width {}", width);
    return id;
  }
  id.instead = kGetClip;
  return id;
}

Identity T5(const TensorNames& names) {
  Identity id;
  const int layout =
      FirstOf(names, {"encoder.block.0.layer.0.SelfAttention.q.weight", "enc.blk.0.attn_q.weight"});
  if (layout < 0) return id;
  id.family = Family::kT5;
  id.parts = {Family::kT5};
  id.layout = layout == 0 ? "Hugging Face" : "llama.cpp";
  const int64_t width = std::max(names.Dim("encoder.block.0.layer.0.SelfAttention.q.weight", 1),
                                 names.Dim("enc.blk.0.attn_q.weight", 1));
  const int64_t vocab =
      std::max({names.Dim("shared.weight", 0), names.Dim("encoder.embed_tokens.weight", 0),
                names.Dim("token_embd.weight", 0)});
  const bool gated = FirstOf(names, {"encoder.block.0.layer.1.DenseReluDense.wi_0.weight",
                                     "enc.blk.0.ffn_gate.weight"}) >= 0;
  if (vocab > 200000) {
    id.description =
        fmt::format("a multilingual T5 (UMT5 or mT5, {} tokens; FLUX.1's has 32128)", vocab);
  } else if (!gated) {
    id.description = "a T5 of version 1.0, without gates; FLUX.1's is T5 v1.1";
  } else if (width == 512 || width == 768 || width == 1024 || width == 2048) {
    id.description = fmt::format("a smaller T5 (width {}; FLUX.1's T5-XXL has 4096)", width);
  } else {
    id.description = width == 4096 ? "the T5-XXL text encoder"
                                   : fmt::format("a T5 text encoder of width {}", width);
    return id;
  }
  id.instead = kGetT5;
  return id;
}

// Several networks in one file. What is wrong with one of them is wrong with the file.
Identity AllInOne(const std::vector<Identity>& inside) {
  Identity id;
  id.family = Family::kAllInOne;
  for (const Identity& one : inside) {
    id.description +=
        fmt::format("{}{}", id.parts.empty() ? "an all-in-one file: " : " with ", one.description);
    id.parts.insert(id.parts.end(), one.parts.begin(), one.parts.end());
    if (id.instead.empty()) id.instead = one.instead;
  }
  return id;
}

}  // namespace

bool Identity::Holds(Family part) const {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

const WeightRows* TensorNames::EndingWith(std::string_view end) const {
  for (const auto& [name, tensor] : tensors_) {
    if (name == end || (name.ends_with(end) && name[name.size() - end.size() - 1] == '.'))
      return &tensor;
  }
  return nullptr;
}

bool TensorNames::AnyContains(std::string_view part) const {
  return std::any_of(tensors_.begin(), tensors_.end(), [&](const auto& entry) {
    return entry.first.find(part) != std::string::npos;
  });
}

int64_t TensorNames::Dim(std::string_view end, int i) const {
  const WeightRows* t = EndingWith(end);
  return t != nullptr && t->rank() > i ? t->dim(i) : 0;
}

std::string MainEncoding(const WeightMap& tensors) {
  std::map<std::string, int64_t> parameters;
  for (const auto& [name, tensor] : tensors)
    parameters[tensor.encoding()] += tensor.shape().NumElements();
  const auto most =
      std::max_element(parameters.begin(), parameters.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == parameters.end() ? "" : most->first;
}

Identity Identify(const WeightMap& tensors) {
  const TensorNames names(tensors);
  if (IsLora(names)) return Lora(names);
  if (const OtherModel* other = FindOtherModel(names)) {
    Identity id;
    id.family = Family::kOtherModel;
    id.description = other->description;
    id.instead = kGetKontext;
    return id;
  }
  std::vector<Identity> inside;
  for (Identity& one :
       std::vector<Identity>{Transformer(names), Clip(names), T5(names), Vae(names)})
    if (one.family != Family::kUnknown) inside.push_back(std::move(one));
  if (inside.empty()) return {};
  return inside.size() == 1 ? inside[0] : AllInOne(inside);
}

}  // namespace kontext
