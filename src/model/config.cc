#include "model/config.h"

#include <filesystem>

#include "io/json.h"
#include "model/flux_kontext.h"

namespace kontext {
namespace {

// Reads typed fields of one JSON object and keeps the first complaint, so that a config reads as a
// list.
class Fields {
 public:
  Fields(const Json& json, std::string what) : json_(json), what_(std::move(what)) {}

  int64_t Int(const char* field, int64_t lo, int64_t hi) {
    Result<int64_t> value = JsonInt(json_, field, lo, hi, what_);
    return Keep(value) ? *value : lo;
  }
  int64_t IntOr(const char* field, int64_t lo, int64_t hi, int64_t missing) {
    return Has(field) ? Int(field, lo, hi) : missing;
  }
  double NumberOr(const char* field, double lo, double hi, double missing) {
    if (!Has(field)) return missing;
    Result<double> value = JsonNumber(json_, field, lo, hi, what_);
    return Keep(value) ? *value : missing;
  }
  bool BoolOr(const char* field, bool missing) {
    if (!Has(field)) return missing;
    if (json_.at(field).is_boolean()) return json_.at(field).get<bool>();
    Fail(BadInput("{}: field \"{}\" is not true or false", what_, field));
    return missing;
  }
  std::string StringOr(const char* field, const std::string& missing) {
    if (!Has(field)) return missing;
    if (json_.at(field).is_string()) return json_.at(field).get<std::string>();
    Fail(BadInput("{}: field \"{}\" is not a string", what_, field));
    return missing;
  }
  std::vector<int64_t> IntsOr(const char* field, int64_t lo, int64_t hi,
                              std::vector<int64_t> missing) {
    if (!Has(field)) return missing;
    std::vector<int64_t> out;
    const Json& list = json_.at(field);
    if (list.is_array() && list.size() <= 64) {
      for (const Json& x : list) {
        if (!x.is_number_integer() || x.get<int64_t>() < lo || x.get<int64_t>() > hi) break;
        out.push_back(x.get<int64_t>());
      }
      if (out.size() == list.size() && !out.empty()) return out;
    }
    Fail(BadInput("{}: field \"{}\" must be a list of whole numbers {}..{}", what_, field, lo, hi));
    return missing;
  }
  bool Has(const char* field) const {
    return json_.is_object() && json_.contains(field) && !json_.at(field).is_null();
  }
  void Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  const Status& status() const { return status_; }

 private:
  template <class T>
  bool Keep(const Result<T>& r) {
    if (!r.ok()) Fail(r.status());
    return r.ok();
  }
  const Json& json_;
  std::string what_;
  Status status_;
};

constexpr int64_t kMaxWidth = 1 << 20;  // of any layer; keeps products of two sizes inside 64 bits
constexpr int64_t kMaxLayers = 1024;

}  // namespace

Result<DitConfig> ReadDitConfig(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
  Fields f(json, path);
  DitConfig c;
  if (const std::string cls = f.StringOr("_class_name", "FluxTransformer2DModel");
      cls != "FluxTransformer2DModel") {
    return BadInput("{}: this is a {}, expected a FluxTransformer2DModel", path, cls);
  }
  c.in_channels = f.Int("in_channels", 4, kMaxWidth);
  c.out_channels = f.IntOr("out_channels", 4, kMaxWidth, c.in_channels);
  c.vec = f.Int("pooled_projection_dim", 1, kMaxWidth);
  c.context = f.Int("joint_attention_dim", 1, kMaxWidth);
  c.heads = f.Int("num_attention_heads", 1, 4096);
  const int64_t head_dim = f.Int("attention_head_dim", 4, 4096);
  c.hidden = c.heads * head_dim;
  c.mlp = 4 * c.hidden;  // DIF transformer_flux.py: mlp_ratio 4.0, not in the config
  c.depth = f.Int("num_layers", 0, kMaxLayers);
  c.depth_single = f.Int("num_single_layers", 0, kMaxLayers);
  const auto axes =
      f.IntsOr("axes_dims_rope", 2, 4096, {16, (head_dim - 16) / 2, (head_dim - 16) / 2});
  c.guidance = f.BoolOr("guidance_embeds", false);
  if (f.IntOr("patch_size", 1, 16, 1) != 1) f.Fail(BadInput("{}: patch_size must be 1", path));
  KX_RETURN_IF_ERROR(f.status());
  if (axes.size() != 3 || axes[0] + axes[1] + axes[2] != head_dim || axes[0] % 2 || axes[1] % 2 ||
      axes[2] % 2) {
    return BadInput(
        "{}: axes_dims_rope must be three even numbers that add up to attention_head_dim {}", path,
        head_dim);
  }
  c.axes = {axes[0], axes[1], axes[2]};
  if (c.in_channels % 4 != 0)
    return BadInput("{}: in_channels {} is no multiple of 2 x 2", path, c.in_channels);
  return c;
}

Result<VaeConfig> ReadVaeConfig(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
  Fields f(json, path);
  VaeConfig c;
  c.in_channels = f.IntOr("in_channels", 3, 3, 3);
  c.latent_channels = f.Int("latent_channels", 1, 1024);
  c.channels = f.IntsOr("block_out_channels", 1, 65536, {});
  c.blocks_per_level = f.IntOr("layers_per_block", 1, 64, 2);
  c.groups = f.IntOr("norm_num_groups", 1, 65536, 32);
  c.scaling_factor = static_cast<float>(f.NumberOr("scaling_factor", 1e-6, 1e6, 0.3611));
  c.shift_factor = static_cast<float>(f.NumberOr("shift_factor", -1e6, 1e6, 0.1159));
  if (f.BoolOr("use_quant_conv", false) || f.BoolOr("use_post_quant_conv", false)) {
    f.Fail(
        BadInput("{}: has quant_conv layers, which FLUX's autoencoder does not; is this a Stable "
                 "Diffusion VAE?",
                 path));
  }
  KX_RETURN_IF_ERROR(f.status());
  if (c.channels.size() < 2 || c.channels.size() > 8) {
    return BadInput("{}: block_out_channels must list 2 to 8 levels", path);
  }
  for (int64_t n : c.channels) {
    if (n % c.groups != 0)
      return BadInput("{}: {} channels do not divide into {} groups", path, n, c.groups);
  }
  return c;
}

Result<ClipConfig> ReadClipConfig(const std::string& path) {
  KX_ASSIGN_OR_RETURN(Json json, ReadJsonFile(path));
  if (json.is_object() && json.contains("text_config") && json["text_config"].is_object()) {
    json = Json(json["text_config"]);  // a full CLIP's config
  }
  Fields f(json, path);
  ClipConfig c;
  c.vocab = f.Int("vocab_size", 3, 1 << 24);
  c.hidden = f.Int("hidden_size", 1, kMaxWidth);
  c.layers = f.Int("num_hidden_layers", 1, kMaxLayers);
  c.heads = f.Int("num_attention_heads", 1, 4096);
  c.ff = f.Int("intermediate_size", 1, kMaxWidth);
  c.positions = f.IntOr("max_position_embeddings", 2, 65536, 77);
  c.eps = static_cast<float>(f.NumberOr("layer_norm_eps", 0, 1, 1e-5));
  c.eos_id = static_cast<int32_t>(f.IntOr("eos_token_id", 0, 1 << 24, 2));
  if (const std::string act = f.StringOr("hidden_act", "quick_gelu"); act != "quick_gelu") {
    f.Fail(BadInput("{}: hidden_act is \"{}\", expected \"quick_gelu\" (CLIP-L)", path, act));
  }
  KX_RETURN_IF_ERROR(f.status());
  if (c.hidden % c.heads != 0)
    return BadInput("{}: hidden_size {} over {} heads", path, c.hidden, c.heads);
  return c;
}

Result<T5Config> ReadT5Config(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
  Fields f(json, path);
  T5Config c;
  c.vocab = f.Int("vocab_size", 3, 1 << 24);
  c.model = f.Int("d_model", 1, kMaxWidth);
  c.heads = f.Int("num_heads", 1, 4096);
  c.kv = f.Int("d_kv", 1, 4096);
  c.ff = f.Int("d_ff", 1, kMaxWidth);
  c.layers = f.Int("num_layers", 1, kMaxLayers);
  c.buckets = f.IntOr("relative_attention_num_buckets", 4, 65536, 32);
  c.max_distance = f.IntOr("relative_attention_max_distance", 4, 1 << 20, 128);
  c.eps = static_cast<float>(f.NumberOr("layer_norm_epsilon", 0, 1, 1e-6));
  if (const std::string ff = f.StringOr("feed_forward_proj", "gated-gelu"); ff != "gated-gelu") {
    f.Fail(
        BadInput("{}: feed_forward_proj is \"{}\", expected \"gated-gelu\" (T5 v1.1)", path, ff));
  }
  KX_RETURN_IF_ERROR(f.status());
  if (c.buckets % 4 != 0)
    return BadInput("{}: relative_attention_num_buckets {} is no multiple of 4", path, c.buckets);
  return c;
}

Result<SchedulerConfig> ReadSchedulerConfig(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
  Fields f(json, path);
  SchedulerConfig c;
  c.base_shift = f.NumberOr("base_shift", 0, 20, c.base_shift);
  c.max_shift = f.NumberOr("max_shift", 0, 20, c.max_shift);
  c.base_image_seq_len = f.IntOr("base_image_seq_len", 1, 1 << 24, c.base_image_seq_len);
  c.max_image_seq_len = f.IntOr("max_image_seq_len", 2, 1 << 24, c.max_image_seq_len);
  if (!f.BoolOr("use_dynamic_shifting", true)) {
    f.Fail(BadInput(
        "{}: use_dynamic_shifting is off; FLUX.1 schnell's schedule is not FLUX.1 Kontext's",
        path));
  }
  KX_RETURN_IF_ERROR(f.status());
  if (c.max_image_seq_len <= c.base_image_seq_len) {
    return BadInput("{}: max_image_seq_len must be above base_image_seq_len", path);
  }
  return c;
}

Result<ModelDefaults> ReadModelDefaults(const std::string& path) {
  ModelDefaults d = FluxKontextDefaults();
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) return d;
  KX_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path, {.max_bytes = 1 << 20, .max_depth = 8}));
  Fields f(json, path);
  d.name = f.StringOr("name", "");
  d.license = f.StringOr("license", "");
  d.steps = static_cast<int>(f.IntOr("default_steps", 1, EditLimits{}.max_steps, d.steps));
  d.guidance =
      static_cast<float>(f.NumberOr("default_guidance", 0, EditLimits{}.max_guidance, d.guidance));
  KX_RETURN_IF_ERROR(f.status());
  if (!f.Has("preferred_sizes")) return d;
  d.preferred_sizes.clear();
  const EditLimits limits;
  for (const Json& size : json.at("preferred_sizes")) {
    const bool pair = size.is_array() && size.size() == 2 && size[0].is_number_integer() &&
                      size[1].is_number_integer();
    const int64_t w = pair ? size[0].get<int64_t>() : 0;
    const int64_t h = pair ? size[1].get<int64_t>() : 0;
    if (w < limits.min_side || h < limits.min_side || w > limits.max_side || h > limits.max_side ||
        w % limits.multiple || h % limits.multiple || d.preferred_sizes.size() == 1000) {
      return BadInput("{}: preferred_sizes must be pairs of multiples of {} between {} and {}",
                      path, limits.multiple, limits.min_side, limits.max_side);
    }
    d.preferred_sizes.push_back({static_cast<int>(w), static_cast<int>(h)});
  }
  if (d.preferred_sizes.empty()) return BadInput("{}: preferred_sizes is empty", path);
  return d;
}

Status CheckConfigsAgree(const DitConfig& dit, const VaeConfig& vae, const ClipConfig& clip,
                         const T5Config& t5) {
  if (t5.model != dit.context) {
    return BadInput(
        "the T5 encoder makes states of {}, the transformer takes {}; is this the right "
        "text_encoder_2?",
        t5.model, dit.context);
  }
  if (clip.hidden != dit.vec) {
    return BadInput(
        "the CLIP encoder pools {} values, the transformer takes {}; is this the right "
        "text_encoder?",
        clip.hidden, dit.vec);
  }
  if (dit.in_channels != 4 * vae.latent_channels) {
    return BadInput(
        "the transformer takes {} channels, the autoencoder makes {} x 2 x 2; a width of 384 is "
        "FLUX.1 Fill, "
        "128 Canny or Depth: Kontext has 64",
        dit.in_channels, vae.latent_channels);
  }
  if (dit.out_channels != dit.in_channels) {
    return BadInput("the transformer gives {} channels for {}; Kontext gives as many",
                    dit.out_channels, dit.in_channels);
  }
  if (vae.factor() != 8) return BadInput("the autoencoder scales by {}, FLUX's by 8", vae.factor());
  return Status();
}

}  // namespace kontext
