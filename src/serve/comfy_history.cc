// Stored edits as ComfyUI tells of prompts. Nothing of it is kept in memory: it is the same after a
// restart.
#include <cstdlib>

#include "base/status.h"
#include "serve/comfy.h"

namespace kontext::serve {
namespace {

int64_t Milliseconds(double seconds) { return static_cast<int64_t>(seconds * 1000); }

// ComfyUI counts the pictures of a prefix; ours count through, and lead back to the edit.
std::string FileName(const std::string& prefix, const StoredEdit& edit, int index) {
  return fmt::format("{}_{:05}_.png", prefix, edit.number * kMostPictures + index);
}

const Json& Kept(const StoredEdit& edit) { return edit.request["comfyui"]; }

// What the client sent: {"prompt", "extra_data", "execute"}.
Json Sent(Store& store, const StoredEdit& edit) {
  const auto bytes = store.GetPicture(Kept(edit).value("graph", ""));
  const auto sent =
      bytes.ok() ? ParseJson(*bytes, "the stored prompt") : Result<Json>(bytes.status());
  if (sent.ok()) return *sent;
  return {{"prompt", Json::object()}, {"extra_data", Json::object()}, {"execute", Json::array()}};
}

}  // namespace

bool IsComfy(const StoredEdit& edit) { return edit.request.contains("comfyui"); }

std::string PromptIdOf(const std::string& id) {
  return id.size() != 32 ? id
                         : fmt::format("{}-{}-{}-{}-{}", id.substr(0, 8), id.substr(8, 4),
                                       id.substr(12, 4), id.substr(16, 4), id.substr(20));
}

std::optional<std::string> EditIdOf(const std::string& prompt_id) {
  std::string id;
  for (const char c : prompt_id) {
    if (c >= 'A' && c <= 'F') {
      id += static_cast<char>(c - 'A' + 'a');
    } else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
      id += c;
    } else if (c != '-') {
      return std::nullopt;
    }
  }
  return id.size() == 32 && prompt_id.size() <= 36 ? std::optional(id) : std::nullopt;
}

Json ComfyQueueItem(Store& store, const StoredEdit& edit) {
  const Json sent = Sent(store, edit);
  return {edit.number, PromptIdOf(edit.id), sent["prompt"], sent["extra_data"], sent["execute"]};
}

Json ComfyOutputs(const StoredEdit& edit) {
  Json outputs = Json::object();
  for (const Json& output : Kept(edit)["outputs"]) {
    if (output["class"] == "SaveImageWebsocket" || edit.state == "moderated") continue;
    const auto prefix = output["prefix"].get<std::string>();
    Json images = Json::array();
    const auto add = [&](int index) {
      images.push_back({{"filename", FileName(prefix, edit, index)},
                        {"subfolder", output["subfolder"]},
                        {"type", output["type"]}});
    };
    if (output.contains("picture")) {
      add(0);
    } else {
      for (const StoredImage& image : edit.images) add(image.index);
    }
    if (!images.empty()) outputs[output["node"].get<std::string>()] = {{"images", images}};
  }
  return outputs;
}

std::pair<std::string, Json> ComfyFailure(const StoredEdit& edit) {
  const std::string node = Kept(edit)["stages"].value("steps", "");
  Json data = {{"prompt_id", PromptIdOf(edit.id)},
               {"node_id", node},
               {"node_type", "KSampler"},
               {"executed", Json::array()},
               {"timestamp", Milliseconds(edit.finished)}};
  if (edit.state == "cancelled") return {"execution_interrupted", data};
  data["exception_message"] = edit.error_message;
  data["exception_type"] = edit.error_code;
  for (const char* list : {"traceback", "current_outputs"}) data[list] = Json::array();
  data["current_inputs"] = Json::object();
  return {"execution_error", data};
}

Json ComfyHistoryItem(Store& store, const StoredEdit& edit) {
  const std::string prompt_id = PromptIdOf(edit.id);
  const Json outputs = ComfyOutputs(edit);
  Json meta = Json::object();
  for (const auto& [node, images] : outputs.items())
    meta[node] = {{"node_id", node},
                  {"display_node", node},
                  {"parent_node", nullptr},
                  {"real_node_id", node}};
  const Json begun = {{"prompt_id", prompt_id}, {"timestamp", Milliseconds(edit.started)}};
  const bool good = edit.state == "ready";
  Json last = {"execution_success",
               {{"prompt_id", prompt_id}, {"timestamp", Milliseconds(edit.finished)}}};
  if (!good) {
    const auto [type, data] = ComfyFailure(edit);
    last = {type, data};
  }
  Json cached = begun;
  cached["nodes"] = Json::array();
  const Json messages = Json::array(
      {Json::array({"execution_start", begun}), Json::array({"execution_cached", cached}), last});
  return {
      {"prompt", ComfyQueueItem(store, edit)},
      {"outputs", outputs},
      {"status",
       {{"status_str", good ? "success" : "error"}, {"completed", good}, {"messages", messages}}},
      {"meta", meta}};
}

Result<std::string> ComfyResult(Store& store, const std::string& owner, const ComfyName& name) {
  const Status none = BadInput("there is no such file");
  const size_t end = name.file.size() - std::min<size_t>(name.file.size(), 5);  // "_.png"
  const size_t digits = name.file.rfind('_', end == 0 ? 0 : end - 1);
  if (!name.file.ends_with("_.png") || digits == std::string::npos || digits + 20 < end)
    return none;
  const std::string text = name.file.substr(digits + 1, end - digits - 1);
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return none;
  const int64_t counter = std::strtoll(text.c_str(), nullptr, 10);
  const int64_t number = counter / kMostPictures;
  if (number >= INT64_MAX / kMostPictures) return none;
  KX_ASSIGN_OR_RETURN(const auto edits, store.List(owner, number + 1, 1));
  if (edits.empty() || edits.front().number != number || !IsComfy(edits.front())) return none;
  const StoredEdit& edit = edits.front();
  for (const Json& output : Kept(edit)["outputs"]) {
    if (output["prefix"] != name.file.substr(0, digits) || output["type"] != name.type ||
        output["subfolder"] != name.subfolder || edit.state == "moderated")
      continue;
    if (output.contains("picture")) return store.GetPicture(output["picture"].get<std::string>());
    for (const StoredImage& image : edit.images) {
      if (image.index == counter % kMostPictures) return store.GetPicture(image.hash);
    }
  }
  return none;
}

}  // namespace kontext::serve
