#include "edit/recipe.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/version.h"

namespace kontext {

std::string MakeRecipe(const EditRequest& request, const EditPlan& plan, uint64_t seed,
                       const Model& model, const Ops& ops, int threads) {
  nlohmann::ordered_json r;
  r["program"] = "kontext.cpp";
  r["version"] = kVersion;
  r["prompt"] = request.prompt;
  if (plan.two_passes) {
    r["negative"] = *request.negative;
    r["true_cfg"] = request.true_cfg;
  }
  r["seed"] = seed;
  r["steps"] = plan.steps;
  r["guidance"] = plan.guidance;
  r["width"] = plan.size.width;
  r["height"] = plan.size.height;
  r["references"] = nlohmann::ordered_json::array();
  for (size_t i = 0; i < request.images.size(); ++i) {
    r["references"].push_back({{"width", request.images[i].width},
                               {"height", request.images[i].height},
                               {"used_width", plan.reference_sizes[i].width},
                               {"used_height", plan.reference_sizes[i].height}});
  }
  r["like"] = plan.like->name;
  r["mode"] = "exact";
  r["model"] = {{"name", model.defaults.name}, {"fingerprint", model.fingerprint}};
  for (const auto& lora : model.adapters.files()) {
    r["loras"].push_back({{"file", std::filesystem::path(lora->adapter.file).filename().string()},
                          {"sha256", lora->sha256},
                          {"strength", lora->strength}});
  }
  if (model.adapters.merged() && r.contains("loras")) r["loras_merged"] = true;
  r["backend"] = ops.name();
  r["activations"] = Name(ops.activation_dtype());
  r["threads"] = threads;
  r["ai_generated"] =
      true;  // the model's licence asks that pictures be recognisable as made by a machine
  return r.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace kontext
