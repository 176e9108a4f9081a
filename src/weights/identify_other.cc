// Models that people have beside FLUX.1 and mistake for it. Patterns are of the names that the
// models' own repositories and Diffusers give their tensors.
#include <algorithm>
#include <array>

#include "weights/identify.h"

namespace kontext {
namespace {

// llama.cpp calls the projection attn_output in language models and attn_o in T5.
// In this order: a ControlNet has the blocks of the model it controls, too.
constexpr std::array<OtherModel, 21> kOthers = {{
    {"controlnet_x_embedder.", "a ControlNet for FLUX.1"},
    {"controlnet_blocks.", "a ControlNet"},
    {"input_hint_block.", "a ControlNet"},
    {"redux_up.", "FLUX.1 Redux, an adapter"},
    {"ip_adapter", "an IP-Adapter"},
    {"double_stream_modulation_img", "FLUX.2, whose layers differ"},
    {"distilled_guidance_layer.", "Chroma, whose modulation differs from FLUX.1's"},
    {"individual_token_refiner.", "HunyuanVideo"},
    {"transformer_blocks.0.img_mod.1.", "Qwen-Image"},
    {"joint_blocks.0.", "Stable Diffusion 3"},
    {"pos_embed.proj.", "Stable Diffusion 3 (Diffusers names)"},
    {"noise_refiner.0.", "Lumina 2 or Z-Image"},
    {"blocks.0.cross_attn.", "Wan, a video model"},
    {"conditioner.embedders.1.", "Stable Diffusion XL"},
    {"input_blocks.0.", "a Stable Diffusion U-Net"},
    {"down_blocks.0.attentions.0.", "a Stable Diffusion U-Net"},
    {"add_embedding.linear_1.", "a Stable Diffusion XL U-Net"},
    {"encoder.downsamples.0.", "the autoencoder of Wan or Qwen-Image"},
    {"transformer.resblocks.0.", "a CLIP model in OpenCLIP's layout"},
    {"model.layers.0.self_attn.", "a language model (Qwen, Llama, Mistral, ...)"},
    {"blk.0.attn_output.", "a language model in llama.cpp's layout"},
}};

}  // namespace

const OtherModel* FindOtherModel(const TensorNames& names) {
  const auto* found = std::find_if(kOthers.begin(), kOthers.end(), [&](const OtherModel& other) {
    return names.AnyContains(other.contains);
  });
  return found == kOthers.end() ? nullptr : found;
}

}  // namespace kontext
