// kontext/recipe.h: recipes from JSON that may be anything.
#include <array>

#include "base/guard.h"
#include "base/status.h"
#include "edit/likes.h"
#include "io/json.h"
#include "kontext/recipe.h"
#include "model/sha256.h"

namespace kontext {
namespace {

constexpr char kWhat[] = "the recipe";
constexpr int64_t kMaxSide = 65535;

Status Wrong(const std::string& field, const char* expected) {
  return BadInput("{}: \"{}\" is missing or no {}", kWhat, field, expected);
}

Status Text(const Json& r, const char* field, std::string& out) {
  if (!r.contains(field) || !r[field].is_string()) return Wrong(field, "text");
  out = r[field].get<std::string>();
  return Status();
}
Status OptionalText(const Json& r, const char* field, std::string& out) {
  return r.contains(field) ? Text(r, field, out) : Status();
}
Status OptionalFlag(const Json& r, const char* field, bool& out) {
  if (!r.contains(field)) return Status();
  if (!r[field].is_boolean()) return Wrong(field, "true or false");
  out = r[field].get<bool>();
  return Status();
}

Result<Like> LikeOf(const std::string& name) {
  for (const Like like :
       {Like::kOurs, Like::kBfl, Like::kDiffusers, Like::kComfyUi, Like::kSdCpp}) {
    if (name == ProfileOf(like).name) return like;
  }
  return BadInput("{}: \"like\" {} is unknown", kWhat, Quoted(name));
}

Result<Mode> ModeOf(const std::string& name) {
  for (const Mode mode : kModes) {
    if (name == NameOf(mode)) return mode;
  }
  return BadInput("{}: \"mode\" {} is unknown", kWhat, Quoted(name));
}

Result<Recipe::Picture> ReadPictureOf(const Json& json) {
  if (!json.is_object()) return Wrong("references", "list of objects");
  Recipe::Picture picture;
  KX_RETURN_IF_ERROR(OptionalText(json, "file", picture.file));
  KX_RETURN_IF_ERROR(Text(json, "pixels_sha256", picture.pixels_sha256));
  KX_RETURN_IF_ERROR(OptionalFlag(json, "alpha", picture.alpha));
  KX_RETURN_IF_ERROR(OptionalFlag(json, "latents", picture.latents));
  return picture;
}

Status ReadPictures(const Json& r, Recipe& recipe) {
  if (!r.contains("references") || !r["references"].is_array()) {
    return Wrong("references", "list");
  }
  for (const Json& one : r["references"]) {
    KX_ASSIGN_OR_RETURN(Recipe::Picture picture, ReadPictureOf(one));
    recipe.request.image_files.push_back(picture.file);
    recipe.references.push_back(std::move(picture));
  }
  if (!r.contains("mask")) return Status();
  KX_ASSIGN_OR_RETURN(recipe.mask, ReadPictureOf(r["mask"]));
  recipe.request.mask_file = recipe.mask->file;
  KX_ASSIGN_OR_RETURN(const int64_t feather,
                      JsonInt(r["mask"], "feather_px", 0, EditLimits{}.max_feather_px, kWhat));
  recipe.request.feather_px = static_cast<int>(feather);
  return Status();
}

Status ReadRequest(const Json& r, EditRequest& request) {
  const EditLimits limits;
  KX_RETURN_IF_ERROR(Text(r, "prompt", request.prompt));
  if (r.contains("negative")) {
    KX_RETURN_IF_ERROR(Text(r, "negative", request.negative.emplace()));
    KX_ASSIGN_OR_RETURN(const double cfg, JsonNumber(r, "true_cfg", 0, limits.max_true_cfg, kWhat));
    request.true_cfg = static_cast<float>(cfg);
  }
  if (!r.contains("seed") || !r["seed"].is_number_unsigned()) return Wrong("seed", "whole number");
  request.seed = r["seed"].get<uint64_t>();
  KX_ASSIGN_OR_RETURN(const int64_t steps, JsonInt(r, "steps", 1, limits.max_steps, kWhat));
  request.steps = static_cast<int>(steps);
  KX_ASSIGN_OR_RETURN(const double guidance,
                      JsonNumber(r, "guidance", 0, limits.max_guidance, kWhat));
  request.guidance = static_cast<float>(guidance);
  if (r.contains("asked_size")) {
    const Json& size = r["asked_size"];
    if (!size.is_array() || size.size() != 2 || !size[0].is_number_integer() ||
        !size[1].is_number_integer()) {
      return Wrong("asked_size", "pair of whole numbers");
    }
    const auto side = [&](const Json& n) {
      return static_cast<int>(std::clamp<int64_t>(n.get<int64_t>(), 0, kMaxSide));
    };
    request.size = Size{side(size[0]), side(size[1])};  // checked with the request
  }
  KX_RETURN_IF_ERROR(OptionalFlag(r, "keep_reference_size", request.keep_reference_size));
  std::string like;
  KX_RETURN_IF_ERROR(Text(r, "like", like));
  KX_ASSIGN_OR_RETURN(request.like, LikeOf(like));
  return Status();
}

Status ReadModel(const Json& r, Recipe& recipe) {
  if (!r.contains("model") || !r["model"].is_object()) return Wrong("model", "object");
  KX_RETURN_IF_ERROR(Text(r["model"], "name", recipe.model_name));
  KX_RETURN_IF_ERROR(Text(r["model"], "fingerprint", recipe.fingerprint));
  if (r.contains("loras")) {
    if (!r["loras"].is_array()) return Wrong("loras", "list");
    for (const Json& one : r["loras"]) {
      if (!one.is_object()) return Wrong("loras", "list of objects");
      Recipe::Lora lora;
      KX_RETURN_IF_ERROR(Text(one, "file", lora.file));
      KX_RETURN_IF_ERROR(Text(one, "sha256", lora.sha256));
      KX_ASSIGN_OR_RETURN(const double strength, JsonNumber(one, "strength", -1e6, 1e6, kWhat));
      lora.strength = static_cast<float>(strength);
      recipe.loras.push_back(std::move(lora));
    }
  }
  return OptionalFlag(r, "loras_merged", recipe.loras_merged);
}

Result<Recipe> Read(const std::string& text) {
  KX_ASSIGN_OR_RETURN(const Json r, ParseJson(text, kWhat, {.max_bytes = 1 << 20}));
  if (!r.is_object()) return BadInput("{}: expected a JSON object", kWhat);
  Recipe recipe;
  KX_RETURN_IF_ERROR(ReadRequest(r, recipe.request));
  KX_RETURN_IF_ERROR(ReadPictures(r, recipe));
  KX_ASSIGN_OR_RETURN(const int64_t width, JsonInt(r, "width", 1, kMaxSide, kWhat));
  KX_ASSIGN_OR_RETURN(const int64_t height, JsonInt(r, "height", 1, kMaxSide, kWhat));
  recipe.size = {static_cast<int>(width), static_cast<int>(height)};
  KX_RETURN_IF_ERROR(ReadModel(r, recipe));
  const std::array<std::pair<const char*, std::string*>, 6> texts = {
      {{"version", &recipe.version},
       {"build", &recipe.build},
       {"isa", &recipe.isa},
       {"backend", &recipe.backend},
       {"activations", &recipe.activations},
       {"mode", &recipe.mode}}};
  for (const auto& [field, value] : texts) KX_RETURN_IF_ERROR(Text(r, field, *value));
  KX_ASSIGN_OR_RETURN(recipe.request.mode, ModeOf(recipe.mode));
  KX_ASSIGN_OR_RETURN(const int64_t threads, JsonInt(r, "threads", 1, 4096, kWhat));
  recipe.threads = static_cast<int>(threads);
  return recipe;
}

}  // namespace

Result<std::string> PixelsSha256(const Pixels& pixels) { return Sha256OfPixels(pixels); }

Result<std::string> MaskSha256(const Mask& mask) {
  return Sha256OfPixels({mask.width, mask.height, 1, mask.data});
}

Result<Recipe> ReadRecipe(const std::string& json) {
  return Guard([&] { return Read(json); });
}

}  // namespace kontext
