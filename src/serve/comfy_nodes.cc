// The nodes of ComfyUI that are offered: what they take and give, as /object_info tells it and as
// graphs are checked. From ComfyUI's nodes.py, comfy_extras/ and comfy_api_nodes' own definitions
// (design: the Kontext template flux_kontext_dev_basic), narrowed to what this engine does.
#include "serve/comfy.h"

namespace kontext::serve {
namespace {

// "in" and "optional": a type for links, [type, options] for a value, [[...]] for one of a list;
// "FILE:KIND" is a name that the list of that kind is shown for and that may be any other. Inputs
// are in ComfyUI's order: clients give the values of a node by it.
constexpr const char* kNodes = R"json({
"UNETLoader": {"in": {"unet_name": ["FILE:diffusion_models"], "weight_dtype": ["ANY", {"default": "default"}]}, "out": ["MODEL"], "category": "advanced/loaders"},
"UnetLoaderGGUF": {"in": {"unet_name": ["FILE:diffusion_models"]}, "out": ["MODEL"], "category": "bootleg"},
"CheckpointLoaderSimple": {"in": {"ckpt_name": ["FILE:checkpoints"]}, "out": ["MODEL", "CLIP", "VAE"], "category": "loaders"},
"DualCLIPLoader": {"in": {"clip_name1": ["FILE:text_encoders"], "clip_name2": ["FILE:text_encoders"], "type": [["flux"]]}, "optional": {"device": ["ANY", {"default": "default"}]}, "out": ["CLIP"], "category": "advanced/loaders"},
"DualCLIPLoaderGGUF": {"in": {"clip_name1": ["FILE:text_encoders"], "clip_name2": ["FILE:text_encoders"], "type": [["flux"]]}, "out": ["CLIP"], "category": "bootleg"},
"VAELoader": {"in": {"vae_name": ["FILE:vae"]}, "out": ["VAE"], "category": "loaders"},
"LoadImage": {"in": {"image": ["FILE:input", {"image_upload": true}]}, "out": ["IMAGE", "MASK"], "category": "image"},
"LoadImageOutput": {"in": {"image": ["FILE:output", {"image_upload": true, "image_folder": "output"}]}, "out": ["IMAGE", "MASK"], "category": "image"},
"LoadImageMask": {"in": {"image": ["FILE:input", {"image_upload": true}], "channel": [["alpha", "red", "green", "blue"]]}, "out": ["MASK"], "category": "mask"},
"ImageStitch": {"in": {"image1": "IMAGE", "direction": [["right", "down", "left", "up"]], "match_image_size": ["BOOLEAN", {"default": true}], "spacing_width": ["INT", {"default": 0, "min": 0, "max": 1024, "step": 2}], "spacing_color": [["white", "black", "red", "green", "blue"]]}, "optional": {"image2": "IMAGE"}, "out": ["IMAGE"], "category": "image/transform"},
"ImageScale": {"in": {"image": "IMAGE", "upscale_method": [["lanczos"]], "width": ["INT", {"default": 512, "min": 0, "max": 16384}], "height": ["INT", {"default": 512, "min": 0, "max": 16384}], "crop": [["disabled", "center"]]}, "out": ["IMAGE"], "category": "image/upscaling"},
"FluxKontextImageScale": {"in": {"image": "IMAGE"}, "out": ["IMAGE"], "category": "advanced/conditioning/flux"},
"VAEEncode": {"in": {"pixels": "IMAGE", "vae": "VAE"}, "out": ["LATENT"], "category": "latent"},
"VAEDecode": {"in": {"samples": "LATENT", "vae": "VAE"}, "out": ["IMAGE"], "category": "latent"},
"EmptyLatentImage": {"in": {"width": ["INT", {"default": 512, "min": 16, "max": 16384, "step": 8}], "height": ["INT", {"default": 512, "min": 16, "max": 16384, "step": 8}], "batch_size": ["INT", {"default": 1, "min": 1, "max": 16}]}, "out": ["LATENT"], "category": "latent"},
"EmptySD3LatentImage": {"in": {"width": ["INT", {"default": 1024, "min": 16, "max": 16384, "step": 16}], "height": ["INT", {"default": 1024, "min": 16, "max": 16384, "step": 16}], "batch_size": ["INT", {"default": 1, "min": 1, "max": 16}]}, "out": ["LATENT"], "category": "latent/sd3"},
"RepeatLatentBatch": {"in": {"samples": "LATENT", "amount": ["INT", {"default": 1, "min": 1, "max": 16}]}, "out": ["LATENT"], "category": "latent/batch"},
"SetLatentNoiseMask": {"in": {"samples": "LATENT", "mask": "MASK"}, "out": ["LATENT"], "category": "latent/inpaint"},
"CLIPTextEncode": {"in": {"text": ["STRING", {"multiline": true, "dynamicPrompts": true}], "clip": "CLIP"}, "out": ["CONDITIONING"], "category": "conditioning"},
"CLIPTextEncodeFlux": {"in": {"clip": "CLIP", "clip_l": ["STRING", {"multiline": true}], "t5xxl": ["STRING", {"multiline": true}], "guidance": ["FLOAT", {"default": 3.5, "min": 0.0, "max": 100.0, "step": 0.1}]}, "out": ["CONDITIONING"], "category": "advanced/conditioning/flux"},
"ConditioningZeroOut": {"in": {"conditioning": "CONDITIONING"}, "out": ["CONDITIONING"], "category": "advanced/conditioning"},
"ReferenceLatent": {"in": {"conditioning": "CONDITIONING"}, "optional": {"latent": "LATENT"}, "out": ["CONDITIONING"], "category": "advanced/conditioning/edit_models"},
"FluxGuidance": {"in": {"conditioning": "CONDITIONING", "guidance": ["FLOAT", {"default": 3.5, "min": 0.0, "max": 100.0, "step": 0.1}]}, "out": ["CONDITIONING"], "category": "advanced/conditioning/flux"},
"FluxKontextMultiReferenceLatentMethod": {"in": {"conditioning": "CONDITIONING", "reference_latents_method": [["offset"]]}, "out": ["CONDITIONING"], "category": "advanced/conditioning/flux"},
"KSampler": {"in": {"model": "MODEL", "seed": ["INT", {"default": 0, "min": 0, "max": 18446744073709551615, "control_after_generate": true}], "steps": ["INT", {"default": 20, "min": 1, "max": 1000}], "cfg": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.1}], "sampler_name": [["euler"]], "scheduler": [["simple"]], "positive": "CONDITIONING", "negative": "CONDITIONING", "latent_image": "LATENT", "denoise": ["FLOAT", {"default": 1.0, "min": 1.0, "max": 1.0, "step": 0.01}]}, "out": ["LATENT"], "category": "sampling"},
"RandomNoise": {"in": {"noise_seed": ["INT", {"default": 0, "min": 0, "max": 18446744073709551615, "control_after_generate": true}]}, "out": ["NOISE"], "category": "sampling/custom_sampling/noise"},
"BasicGuider": {"in": {"model": "MODEL", "conditioning": "CONDITIONING"}, "out": ["GUIDER"], "category": "sampling/custom_sampling/guiders"},
"KSamplerSelect": {"in": {"sampler_name": [["euler"]]}, "out": ["SAMPLER"], "category": "sampling/custom_sampling/samplers"},
"BasicScheduler": {"in": {"model": "MODEL", "scheduler": [["simple"]], "steps": ["INT", {"default": 20, "min": 1, "max": 1000}], "denoise": ["FLOAT", {"default": 1.0, "min": 1.0, "max": 1.0, "step": 0.01}]}, "out": ["SIGMAS"], "category": "sampling/custom_sampling/schedulers"},
"SamplerCustomAdvanced": {"in": {"noise": "NOISE", "guider": "GUIDER", "sampler": "SAMPLER", "sigmas": "SIGMAS", "latent_image": "LATENT"}, "out": ["LATENT", "LATENT"], "category": "sampling/custom_sampling"},
"PrimitiveString": {"in": {"value": ["STRING", {}]}, "out": ["STRING"], "category": "utils/primitive"},
"PrimitiveStringMultiline": {"in": {"value": ["STRING", {"multiline": true}]}, "out": ["STRING"], "category": "utils/primitive"},
"PrimitiveInt": {"in": {"value": ["INT", {"min": -9223372036854775807, "max": 9223372036854775807}]}, "out": ["INT"], "category": "utils/primitive"},
"PrimitiveFloat": {"in": {"value": ["FLOAT", {"min": -1e300, "max": 1e300}]}, "out": ["FLOAT"], "category": "utils/primitive"},
"SaveImage": {"in": {"images": "IMAGE", "filename_prefix": ["STRING", {"default": "ComfyUI"}]}, "out": [], "category": "image", "output_node": true},
"PreviewImage": {"in": {"images": "IMAGE"}, "out": [], "category": "image", "output_node": true},
"SaveImageWebsocket": {"in": {"images": "IMAGE"}, "out": [], "category": "api/image", "output_node": true}
})json";

// "FILE:KIND" as a list of names, "ANY" as a list of its default.
Json Shown(const Json& input, const std::function<Json(const std::string&)>& files) {
  if (input.is_string()) return Json::array({input});
  Json shown = input;
  if (shown[0].is_string()) {
    const std::string type = shown[0].get<std::string>();
    if (type.starts_with("FILE:")) shown[0] = files(type.substr(5));
    if (type == "ANY") shown[0] = Json::array({input[1]["default"]});
  }
  return shown;
}

}  // namespace

const Json& ComfyNodes() {
  static const Json nodes = Json::parse(kNodes);
  return nodes;
}

OrderedJson ComfyObjectInfo(const std::string& name,
                            const std::function<Json(const std::string&)>& files) {
  static const OrderedJson nodes = OrderedJson::parse(kNodes);
  const OrderedJson& node = nodes[name];
  OrderedJson input = {{"required", OrderedJson::object()}};
  Json order = {{"required", Json::array()}};
  for (const auto& [from, to] : {std::pair{"in", "required"}, std::pair{"optional", "optional"}}) {
    const OrderedJson inputs = node.value(from, OrderedJson::object());
    for (const auto& [field, type] : inputs.items()) {
      input[to][field] = Shown(type, files);
      order[to].push_back(field);
    }
  }
  const Json out = node["out"];
  return {{"input", input},
          {"input_order", order},
          {"output", out},
          {"output_is_list", std::vector<bool>(out.size(), false)},
          {"output_name", out},
          {"name", name},
          {"display_name", name},
          {"description", ""},
          {"python_module", "nodes"},
          {"category", node["category"]},
          {"output_node", node.value("output_node", false)}};
}

}  // namespace kontext::serve
