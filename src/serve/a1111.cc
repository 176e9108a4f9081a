// AUTOMATIC1111's API, /sdapi/v1: progress, interruption, settings and lists. Drawing is in
// a1111_draw.cc; what is offered, ignored and refused: docs/api.md.
#include "serve/a1111.h"

#include <fmt/chrono.h>

#include <algorithm>

#include "base/status.h"
#include "serve/base64.h"
#include "serve/picture_reader.h"
#include "serve/ram.h"

namespace kontext::serve {
namespace {

// The edit of this key that runs, else its next one: what progress shows is what interrupt ends.
std::optional<StoredEdit> Current(Exchange& x) {
  const std::string running = x.queue.running();
  if (!running.empty()) {
    const auto edit = x.queue.Get(running);
    if (edit.ok() && *edit && (**edit).owner == x.owner && (**edit).finished == 0) return *edit;
  }
  const auto waiting = x.queue.store().Waiting();
  if (!waiting.ok()) return std::nullopt;
  for (const StoredEdit& edit : *waiting) {
    if (edit.owner == x.owner) return edit;
  }
  return std::nullopt;
}

std::string Timestamp(double seconds) {
  return fmt::format("{:%Y%m%d%H%M%S}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

void SendProgress(Exchange& x) {
  const auto skip = x.query.find("skip_current_image");
  const bool with_image = skip == x.query.end() || (skip->second != "true" && skip->second != "1");
  Json state = {{"skipped", false}, {"interrupted", false}, {"stopping_generation", false},
                {"job", ""},        {"job_count", 0},       {"job_timestamp", "0"},
                {"job_no", 0},      {"sampling_step", 0},   {"sampling_steps", 0}};
  Json answer = {{"progress", 0.0},
                 {"eta_relative", 0.0},
                 {"current_image", nullptr},
                 {"textinfo", nullptr},
                 {"current_task", nullptr}};
  if (const auto edit = Current(x)) {
    const Live live = x.queue.Look(*edit);
    const Json p = live.progress.is_object() ? live.progress : Json::object();
    const int pictures = edit->request.value("n", 1);
    const int picture = p.value("picture", 0);
    const int step = p.value("step", 0);
    const int steps = p.value("steps", edit->steps / std::max(pictures, 1));
    state["job"] = fmt::format("Picture {} of {}", picture + 1, pictures);
    state["job_count"] = pictures;
    state["job_timestamp"] = Timestamp(edit->created);
    state["job_no"] = picture;
    state["sampling_step"] = step;
    state["sampling_steps"] = steps;
    answer["progress"] =
        std::min(1.0, (picture + double{1} * step / std::max(steps, 1)) / std::max(pictures, 1));
    answer["eta_relative"] = live.predicted;
    answer["current_task"] = edit->id;
    if (live.position > 0) answer["textinfo"] = fmt::format("waiting, {} in front", live.position);
    if (with_image && !live.preview.empty()) answer["current_image"] = ToBase64(live.preview);
  }
  answer["state"] = std::move(state);
  x.Send(200, answer);
}

void Interrupt(Exchange& x) {
  if (const auto edit = Current(x)) {
    const Status status = x.queue.Cancel(edit->id);
    if (!status.ok()) return x.FailStore(status);
  }
  x.Send(200, Json::object());
}

void SetOptions(Exchange& x) {
  Json settings;
  if (!x.ReadJson(settings)) return;
  A1111Fields in(settings);
  if (!settings.is_object()) {
    in.Wrong("", "value is not a valid dict", "type_error.dict");
  } else {
    std::vector<std::string> ignored;
    const std::string wrong = A1111CheckOptions(x, settings, ignored);
    if (!wrong.empty()) in.NotOffered(wrong.substr(0, wrong.find(':')), wrong);
    if (settings.value("samples_format", Json("png")) != "png")
      in.NotOffered("samples_format", "send it in override_settings of each request");
  }
  in.sound() ? x.Send(200, nullptr) : x.Send(422, {{"detail", in.detail()}});
}

void SendPngInfo(Exchange& x) {
  Json body;
  if (!x.ReadJson(body)) return;
  A1111Fields in(body);
  if (!body.is_object()) in.Wrong("", "value is not a valid dict", "type_error.dict");
  const std::string text = body.is_object() ? in.Text("image", SIZE_MAX) : "";
  const auto bytes = FromBase64(text);
  const auto picture = PictureReader().Read(bytes.value_or(""), "image");
  if (!picture.ok()) in.Wrong("image", "Invalid image", "value_error.image");
  if (!in.sound()) return x.Send(422, {{"detail", in.detail()}});
  const auto recipe = ParseJson(picture->recipe, "the recipe");
  if (!recipe.ok() || !recipe->is_object())
    return x.Send(200, {{"info", ""}, {"items", Json::object()}, {"parameters", Json::object()}});
  const Json model = recipe->value("model", Json::object());
  const Json name = model.is_object() ? model.value("name", Json()) : Json();
  x.Send(200, {{"info", A1111Infotext(*recipe, name.is_string() ? name.get<std::string>() : "")},
               {"items", {{"kontext", picture->recipe}}},
               {"parameters", *recipe}});
}

Json Models(Exchange& x) {
  const ModelInfo model = x.queue.engine().model();
  return Json::array({{{"title", A1111Title(model)},
                       {"model_name", model.name},
                       {"hash", A1111Hash(model)},
                       {"sha256", nullptr},
                       {"filename", model.name},
                       {"config", nullptr}}});
}

Json Loras(Exchange& x) {
  Json list = Json::array();
  for (const LoraChoice& lora : x.queue.options().engine.loras) {
    const std::string file = lora.path.substr(lora.path.rfind('/') + 1);
    const std::string name = file.substr(0, file.rfind('.'));
    Json metadata = {{"loaded", true}};
    if (lora.strength) metadata["strength"] = *lora.strength;
    list.push_back({{"name", name}, {"alias", name}, {"path", file}, {"metadata", metadata}});
  }
  return list;
}

Json Memory() {
  const Ram ram = RamOfMachine();
  return {{"ram", {{"free", ram.free}, {"used", ram.total - ram.free}, {"total", ram.total}}},
          {"cuda", {{"error", "unavailable"}}}};
}

// GET lists; null where there is no such list.
Json ListOf(Exchange& x, const std::string& name) {
  if (name == "options") return A1111Options(x);
  if (name == "sd-models") return Models(x);
  if (name == "loras") return Loras(x);
  if (name == "memory") return Memory();
  if (name == "samplers")
    return Json::array(
        {{{"name", "Euler"}, {"aliases", Json::array({"k_euler"})}, {"options", Json::object()}}});
  if (name == "schedulers") {
    Json list = Json::array();
    for (const auto& [id, label] :
         {std::pair{"automatic", "Automatic"}, std::pair{"simple", "Simple"}})
      list.push_back({{"name", id},
                      {"label", label},
                      {"aliases", nullptr},
                      {"default_rho", -1},
                      {"need_inner_model", false}});
    return list;
  }
  if (name == "scripts") return {{"txt2img", Json::array()}, {"img2img", Json::array()}};
  if (name == "embeddings") return {{"loaded", Json::object()}, {"skipped", Json::object()}};
  if (name == "cmd-flags")
    return {
        {"api", true}, {"nowebui", true}, {"api_auth", nullptr}, {"port", x.queue.options().port}};
  for (const char* empty :
       {"sd-vae", "sd-modules", "upscalers", "latent-upscale-modes", "hypernetworks",
        "face-restorers", "realesrgan-models", "prompt-styles", "script-info", "extensions"}) {
    if (name == empty) return Json::array();
  }
  return nullptr;
}

// POST routes of A1111 that there is nothing for here.
bool IsNotOffered(const std::string& name) {
  for (const char* other :
       {"extra-single-image", "extra-batch-images", "interrogate", "unload-checkpoint",
        "create/embedding", "create/hypernetwork", "train/embedding", "train/hypernetwork",
        "server-kill", "server-restart", "server-stop"}) {
    if (name == other) return true;
  }
  return false;
}

bool IsPost(const std::string& name) {
  for (const char* known : {"txt2img", "img2img", "interrupt", "skip", "options", "png-info"}) {
    if (name == known) return true;
  }
  return name.starts_with("refresh-") || name == "reload-checkpoint" || IsNotOffered(name);
}

void Post(Exchange& x, const std::string& name) {
  if (name == "txt2img" || name == "img2img") {
    A1111Draw(x, name == "img2img");
  } else if (name == "interrupt" || name == "skip") {
    Interrupt(x);
  } else if (name == "options") {
    SetOptions(x);
  } else if (name == "png-info") {
    SendPngInfo(x);
  } else if (name.starts_with("refresh-") || name == "reload-checkpoint") {
    x.Send(200, nullptr);  // the one model is always loaded, and nothing else can appear
  } else {
    x.Fail(501, "NotOffered", name + " is not offered by this server");
  }
}

std::string Text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

}  // namespace

Json A1111Error(const std::string& code, const std::string& message) {
  return {{"error", code}, {"detail", message}, {"body", ""}, {"errors", message}};
}

std::string A1111Hash(const ModelInfo& model) { return model.fingerprint.substr(0, 10); }

std::string A1111Title(const ModelInfo& model) {
  return fmt::format("{} [{}]", model.name, A1111Hash(model));
}

std::string A1111Infotext(const Json& facts, const std::string& model) {
  const auto fact = [&](const char* name) { return Text(facts.value(name, Json())); };
  std::string text = fact("prompt");
  if (!fact("negative").empty()) text += "\nNegative prompt: " + fact("negative");
  text += "\nSteps: " + fact("steps") + ", Sampler: Euler, Schedule type: Simple";
  if (!fact("true_cfg").empty()) text += ", CFG scale: " + fact("true_cfg");
  text += ", Distilled CFG Scale: " + fact("guidance") + ", Seed: " + fact("seed");
  if (!fact("width").empty()) text += fmt::format(", Size: {}x{}", fact("width"), fact("height"));
  return text + ", Model: " + model + ", Version: kontext " + Version();
}

Json A1111Options(Exchange& x) {
  const ModelInfo model = x.queue.engine().model();
  return {{"sd_model_checkpoint", A1111Title(model)},
          {"sd_vae", "Automatic"},
          {"sd_lora", "None"},
          {"sd_hypernetwork", "None"},
          {"forge_additional_modules", Json::array()},
          {"randn_source", "CPU"},
          {"eta_noise_seed_delta", 0},
          {"CLIP_stop_at_last_layers", 1},
          {"samples_format", "png"},
          {"samples_save", true},
          {"live_previews_enable", x.queue.shows_previews()},
          {"show_progress_every_n_steps", 1}};
}

std::string A1111CheckOptions(Exchange& x, const Json& settings,
                              std::vector<std::string>& ignored) {
  const Json own = A1111Options(x);
  const ModelInfo model = x.queue.engine().model();
  for (const auto& [name, value] : settings.items()) {
    if (name == "samples_format" || value.is_null() || value == Json(std::string())) continue;
    const Json held = own.value(name, Json());
    if (value == held) continue;
    if (name == "sd_model_checkpoint") {
      if (value == model.name || value == A1111Hash(model)) continue;
      return name + ": there is one model here, " + A1111Title(model);
    }
    if (name == "sd_vae" && value == "None") continue;
    for (const char* fixed : {"sd_vae", "sd_lora", "sd_hypernetwork", "forge_additional_modules",
                              "randn_source", "eta_noise_seed_delta"}) {
      if (name == fixed) return name + ": cannot be other than " + held.dump();
    }
    if (ignored.size() < 20) ignored.push_back("setting " + name.substr(0, 100) + ": ignored");
  }
  return "";
}

bool A1111(Exchange& x) {
  if (x.path.size() < 3 || x.path[0] != "sdapi" || x.path[1] != "v1") return false;
  std::string name = x.path[2];
  for (size_t i = 3; i < x.path.size(); ++i) name += "/" + x.path[i];
  const bool post = IsPost(name);
  if (post) x.Allow("POST");
  const Json list = ListOf(x, name);
  if (!list.is_null() || name == "progress") x.Allow("GET");
  if (x.method == "POST" && post) {
    Post(x, name);
  } else if (x.method == "GET" && name == "progress") {
    SendProgress(x);
  } else if (x.method == "GET" && !list.is_null()) {
    x.Send(200, list);
  } else {
    return false;
  }
  return true;
}

}  // namespace kontext::serve
