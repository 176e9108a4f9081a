#include "weights/identify.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

namespace kontext {
namespace {

using Tensors = WeightMap;

// The file's tensors, asked by the end of their names so that prefixes do not matter.
class Names {
 public:
  explicit Names(const Tensors& tensors) : tensors_(tensors) {}

  const WeightRows* EndingWith(std::string_view end) const {
    for (const auto& [name, tensor] : tensors_) {
      if (name == end || (name.ends_with(end) && name[name.size() - end.size() - 1] == '.'))
        return &tensor;
    }
    return nullptr;
  }
  bool AnyContains(std::initializer_list<std::string_view> parts) const {
    return std::any_of(tensors_.begin(), tensors_.end(), [&](const auto& entry) {
      return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
        return entry.first.find(part) != std::string::npos;
      });
    });
  }
  // Dimension i of the tensor, 0 if there is none.
  int64_t Dim(std::string_view end, int i) const {
    const WeightRows* t = EndingWith(end);
    return t != nullptr && t->rank() > i ? t->dim(i) : 0;
  }

 private:
  const Tensors& tensors_;
};

// Encodings that keep further tensors beside the weights (spec weights 5, 8, 9).
std::string Encoding(const Names& names) {
  if (names.AnyContains({".wscales"})) return "an SVDQuant (nunchaku) file";
  if (names.AnyContains({".quant_state.bitsandbytes__"})) return "a bitsandbytes 4-bit file";
  if (names.AnyContains({"scaled_fp8", ".scale_weight", ".weight_scale", ".comfy_quant"})) {
    return "a ComfyUI file with scaled 8-bit or 4-bit weights";
  }
  return {};
}

// FLUX.1's variants differ in the width of img_in and in guidance_in (spec weights 11.5).
std::string Variant(const Names& names) {
  const int64_t width = std::max(names.Dim("img_in.weight", 1), names.Dim("x_embedder.weight", 1));
  if (width == 384) return "FLUX.1 Fill (img_in takes 384 channels, Kontext's takes 64)";
  if (width == 128) return "FLUX.1 Canny or Depth (img_in takes 128 channels, Kontext's takes 64)";
  const bool guided = names.EndingWith("guidance_in.in_layer.weight") != nullptr ||
                      names.EndingWith("guidance_embedder.linear_1.weight") != nullptr;
  if (!guided) return "FLUX.1 [schnell] (no guidance_in), not Kontext";
  return "a FLUX.1 [dev] or Kontext transformer";
}

std::string OtherModel(const Names& names) {
  if (names.AnyContains({"double_stream_modulation_img"})) return "FLUX.2, whose layers differ";
  if (names.AnyContains({"conditioner.embedders.1."})) return "Stable Diffusion XL";
  if (names.AnyContains({"joint_blocks.0."})) return "Stable Diffusion 3";
  if (names.AnyContains({"input_blocks.0.", "down_blocks.0.attentions.0."}))
    return "a Stable Diffusion U-Net";
  if (names.AnyContains({"transformer.resblocks.0.", "visual_projection", "vision_model."})) {
    return "a CLIP model with its picture half or in OpenCLIP's layout";
  }
  return {};
}

std::string VaeVariant(const Names& names) {
  const int64_t z = names.Dim("decoder.conv_in.weight", 1);
  if (z == 4) return "the VAE of Stable Diffusion 1, 2 or XL (4 latent channels, FLUX.1's has 16)";
  if (z == 32) return "FLUX.2's VAE (32 latent channels, FLUX.1's has 16)";
  return fmt::format("a VAE ({} latent channels)", z);
}

}  // namespace

Identity Identify(const Tensors& tensors) {
  const Names names(tensors);
  const bool lora = names.AnyContains({"lora_A.", "lora_B.", "lora_down.", "lora_up.", ".lokr_w1"});
  if (std::string encoding = Encoding(names); !encoding.empty()) {
    return {Family::kQuantised, encoding + ", which cannot be read yet: take the bf16 file"};
  }
  if (lora) return {Family::kLora, "a LoRA: pass it with --lora, beside the model"};

  const bool flux = names.EndingWith("double_blocks.0.img_attn.qkv.weight") != nullptr ||
                    names.EndingWith("transformer_blocks.0.attn.add_q_proj.weight") != nullptr;
  const bool vae = names.EndingWith("decoder.conv_in.weight") != nullptr;
  const bool clip = names.EndingWith("encoder.layers.0.self_attn.q_proj.weight") != nullptr;
  const bool t5 = names.EndingWith("encoder.block.0.layer.0.SelfAttention.q.weight") != nullptr;
  if (flux && (vae || clip || t5))
    return {Family::kAllInOne, "an all-in-one file: " + Variant(names)};
  if (std::string other = OtherModel(names); !flux && !other.empty())
    return {Family::kOtherModel, other};
  if (flux) return {Family::kFluxTransformer, Variant(names)};
  if (vae) return {Family::kFluxVae, VaeVariant(names)};
  if (clip) return {Family::kClip, "a CLIP text encoder"};
  if (t5) return {Family::kT5, "a T5 text encoder"};
  return {};
}

}  // namespace kontext
