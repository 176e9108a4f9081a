#include "edit/recipe.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/build_id.h"
#include "base/version.h"
#include "compute/cpu/cpu_features.h"
#include "model/sha256.h"

namespace kontext {

namespace {

using Json = nlohmann::ordered_json;

// The file's name as it was given, if there is one.
void NameFile(const std::string& file, Json& picture) {
  if (!file.empty()) picture["file"] = file;
}

Result<Json> References(const EditRequest& request, const EditPlan& plan) {
  Json list = Json::array();
  for (size_t i = 0; i < request.images.size(); ++i) {
    const Pixels& image = request.images[i];
    const Size used = plan.reference_sizes[i];
    Json one;
    if (i < request.image_files.size()) NameFile(request.image_files[i], one);
    KX_ASSIGN_OR_RETURN(one["pixels_sha256"], Sha256OfPixels(image));
    one["width"] = image.width;
    one["height"] = image.height;
    if (image.channels == 4) one["alpha"] = true;
    if (HasLatents(request, i)) one["latents"] = true;
    one["used_width"] = used.width;
    one["used_height"] = used.height;
    list.push_back(std::move(one));
  }
  return list;
}

Result<Json> MaskOf(const EditRequest& request) {
  const Mask& mask = *request.mask;
  Json one;
  NameFile(request.mask_file, one);
  KX_ASSIGN_OR_RETURN(one["pixels_sha256"],
                      Sha256OfPixels({mask.width, mask.height, 1, mask.data}));
  one["feather_px"] = request.feather_px;
  return one;
}

}  // namespace

Result<std::string> MakeRecipe(const EditRequest& request, const EditPlan& plan, Size picture,
                               uint64_t seed, const Model& model, const Ops& ops, int threads) {
  Json r;
  r["program"] = "kontext.cpp";
  r["version"] = kVersion;
  r["build"] = BuildId();
  r["prompt"] = request.prompt;
  if (plan.two_passes) {
    r["negative"] = *request.negative;
    r["true_cfg"] = request.true_cfg;
  }
  r["seed"] = seed;
  r["steps"] = plan.steps;
  r["guidance"] = plan.guidance;
  r["width"] = picture.width;
  r["height"] = picture.height;
  if (request.size) r["asked_size"] = {request.size->width, request.size->height};
  KX_ASSIGN_OR_RETURN(r["references"], References(request, plan));
  if (request.keep_reference_size) r["keep_reference_size"] = true;
  if (request.mask) {
    KX_ASSIGN_OR_RETURN(r["mask"], MaskOf(request));
  }
  r["like"] = plan.like->name;
  r["mode"] = NameOf(request.mode);
  if (request.mode == Mode::kBalanced || request.mode == Mode::kFast)
    r["step_plan"] = Text(plan.step_plan);
  r["model"] = {{"name", model.defaults.name}, {"fingerprint", model.fingerprint}};
  for (const auto& lora : model.adapters.files()) {
    Json one = {{"file", std::filesystem::path(lora->adapter.file).filename().string()},
                {"sha256", lora->sha256},
                {"strength", lora->strength}};
    if (lora->few_step != nullptr) one["few_step"] = lora->few_step->name;
    r["loras"].push_back(std::move(one));
  }
  if (model.adapters.merged() && r.contains("loras")) r["loras_merged"] = true;
  KX_ASSIGN_OR_RETURN(const cpu::CpuFeatures features, cpu::UsableCpuFeatures());
  r["isa"] = cpu::NameOf(features);
  r["backend"] = ops.name();
  r["activations"] = Name(ops.activation_dtype());
  r["threads"] = threads;
  r["ai_generated"] =
      true;  // the model's licence asks that pictures be recognisable as made by a machine
  return r.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace kontext
