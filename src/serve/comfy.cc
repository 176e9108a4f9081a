// ComfyUI's HTTP routes, each also under /api/. What is offered: docs/api.md.
#include "serve/comfy.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/status.h"
#include "serve/ram.h"

namespace kontext::serve {
namespace {

constexpr size_t kMostPromptBytes = size_t{1} << 20;  // of a graph and what comes with it
constexpr int kPage = 100;                            // edits read at once
constexpr int64_t kMostHistory = 1000;

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void SendEmpty(Exchange& x) { x.SendBytes("text/plain", ""); }

// ---- POST /prompt

// What becomes of the body beside its graph; false after a refusal was sent.
bool ReadEnvelope(Exchange& x, const Json& body, Draft& draft, std::set<std::string>& targets) {
  const auto refuse = [&](const char* code, const std::string& message) {
    x.Fail(400, code, message);
    return false;
  };
  if (!body.is_object() || !body.contains("prompt"))
    return refuse("no_prompt", "No prompt provided");
  if (!body["prompt"].is_object())
    return refuse("invalid_prompt", "the prompt must be an object of nodes");
  if (const Json id = body.value("prompt_id", Json()); !id.is_null()) {
    const auto edit_id = EditIdOf(id.is_string() ? id.get<std::string>() : "");
    if (!edit_id) return refuse("invalid_prompt_id", "prompt_id must be a UUID");
    draft.id = *edit_id;
  }
  const Json wanted = body.value("partial_execution_targets", Json());
  if (!wanted.is_null() && !wanted.is_array())
    return refuse("invalid_prompt", "partial_execution_targets must be a list of node ids");
  for (const Json& id : wanted) {
    if (id.is_string()) targets.insert(id.get<std::string>());
  }
  return true;
}

void Prompt(Exchange& x) {
  Json body;
  if (!x.ReadJson(body)) return;
  Draft draft;
  std::set<std::string> targets;
  if (!ReadEnvelope(x, body, draft, targets)) return;
  const Json& nodes = body["prompt"];
  Json extra = body.value("extra_data", Json());
  if (!extra.is_object()) extra = Json::object();
  std::string client = ComfyText(body, "client_id");
  if (client.empty()) client = ComfyText(extra, "client_id");
  if (!client.empty()) extra["client_id"] = client;
  ComfyGraph graph(nodes);
  ComfyFiles files(x.queue, x.owner);
  if (!graph.Check(targets) || !ComfyPlan(graph, files, x.queue.engine(), draft))
    return x.Send(400, {{"error", graph.error()}, {"node_errors", graph.node_errors()}});
  const std::string sent =
      Dump({{"prompt", nodes}, {"extra_data", extra}, {"execute", graph.outputs()}});
  if (sent.size() > kMostPromptBytes)
    return x.Fail(400, "invalid_prompt",
                  fmt::format("the prompt and its extra_data have {} bytes; at most {}",
                              sent.size(), kMostPromptBytes));
  const EditLimits limits = x.queue.engine().limits();
  Json fields = draft.fields;
  fields.erase("comfyui");
  Draft checked;
  std::vector<FieldError> errors = ReadFields(fields, limits, x.queue.options(), checked);
  if (errors.empty()) errors = CheckPictures(draft, limits);
  if (!errors.empty()) return x.Fail(400, "invalid_prompt", errors[0].Told());
  if (ComfyText(extra, "preview_method") == "none") draft.fields["previews"] = false;
  draft.fields["comfyui"]["client_id"] = client.substr(0, 200);
  draft.fields["comfyui"]["graph"] = HashOf(sent);
  draft.attachments.push_back(sent);
  draft.body_hash = HashOf(sent);
  if (draft.id.empty()) {  // clients may parse it as what ComfyUI gives: RFC 9562's version 4
    draft.id = RandomHex(32);
    draft.id[12] = '4';
    draft.id[16] = '8';
  }
  StoredEdit edit;
  if (!x.Submit(draft, edit)) return;
  x.Send(200, {{"prompt_id", PromptIdOf(edit.id)},
               {"number", edit.number},
               {"node_errors", Json::object()}});
}

// ---- /history, /queue, /interrupt

// Ended prompts of this key, newest first, until `enough` says so.
template <class F>
Status EachEnded(Exchange& x, const F& enough) {
  for (int64_t before = 0;;) {
    KX_ASSIGN_OR_RETURN(const auto edits, x.queue.store().List(x.owner, before, kPage));
    for (const StoredEdit& edit : edits) {
      const bool ran = edit.finished > 0 && edit.started > 0;
      if (IsComfy(edit) && ran && enough(edit)) return Status();
    }
    if (edits.size() < kPage) return Status();
    before = edits.back().number;
  }
}

std::optional<StoredEdit> Own(Exchange& x, const std::string& prompt_id) {
  const auto id = EditIdOf(prompt_id);
  if (!id) return std::nullopt;
  const auto edit = x.queue.Get(*id);
  if (!edit.ok() || !*edit || (**edit).owner != x.owner || !IsComfy(**edit)) return std::nullopt;
  return **edit;
}

// In order of time: clients take the last of an object's values for the newest.
void SendHistory(Exchange& x, const std::vector<StoredEdit>& newest_first) {
  std::string text = "{";
  for (auto it = newest_first.rbegin(); it != newest_first.rend(); ++it) {
    if (text.size() > 1) text.push_back(',');
    text.append(Dump(PromptIdOf(it->id))).push_back(':');
    text.append(Dump(ComfyHistoryItem(x.queue.store(), *it)));
  }
  text.push_back('}');
  x.SendBytes("application/json", text);
}

void History(Exchange& x, const std::string& prompt_id) {
  std::vector<StoredEdit> found;
  if (!prompt_id.empty()) {
    const auto edit = Own(x, prompt_id);
    if (edit && edit->finished > 0 && edit->started > 0) found.push_back(*edit);
    return SendHistory(x, found);
  }
  const auto number = [&](const char* name, int64_t otherwise) {
    const std::string text = x.Query(name);
    return text.empty() ? otherwise : std::strtoll(text.c_str(), nullptr, 10);
  };
  int64_t most = number("max_items", kMostHistory);
  if (most < 0 || most > kMostHistory) most = kMostHistory;
  int64_t skip = std::max<int64_t>(0, number("offset", 0));
  const Status status = EachEnded(x, [&](const StoredEdit& edit) {
    if (--skip < 0 && std::ssize(found) < most) found.push_back(edit);
    return std::ssize(found) >= most;
  });
  status.ok() ? SendHistory(x, found) : x.FailStore(status);
}

// {"clear": true} or {"delete": [prompt_id]}: false after a refusal was sent.
bool ReadDeletion(Exchange& x, bool& all, std::vector<StoredEdit>& some) {
  Json body;
  if (!x.ReadJson(body)) return false;
  const Json ids = body.is_object() ? body.value("delete", Json::array()) : Json();
  if (!ids.is_array()) {
    x.Fail(400, "bad_request", "send {\"clear\": true} or {\"delete\": [prompt_id]}");
    return false;
  }
  all = body.value("clear", Json(false)) == Json(true);
  for (const Json& id : ids) {
    if (const auto edit = Own(x, id.is_string() ? id.get<std::string>() : ""))
      some.push_back(*edit);
  }
  return true;
}

void ForgetHistory(Exchange& x) {
  bool all = false;
  std::vector<StoredEdit> gone;
  if (!ReadDeletion(x, all, gone)) return;
  Status status;
  if (all)
    status = EachEnded(x, [&](const StoredEdit& edit) {
      gone.push_back(edit);
      return false;
    });
  for (const StoredEdit& edit : gone) {
    if (status.ok() && edit.finished > 0) status = x.queue.store().Forget(edit.id);
  }
  status.ok() ? SendEmpty(x) : x.FailStore(status);
}

std::vector<StoredEdit> Pending(Exchange& x) {
  auto waiting = x.queue.store().Waiting();
  if (!waiting.ok()) return {};
  std::erase_if(*waiting, [&](const StoredEdit& e) { return e.owner != x.owner || !IsComfy(e); });
  return std::move(*waiting);
}

std::optional<StoredEdit> Running(Exchange& x) { return Own(x, PromptIdOf(x.queue.running())); }

void SendQueue(Exchange& x) {
  Json running = Json::array(), pending = Json::array();
  if (const auto edit = Running(x)) running.push_back(ComfyQueueItem(x.queue.store(), *edit));
  for (const StoredEdit& edit : ComfyInReview(x.queue, x.owner))
    running.push_back(ComfyQueueItem(x.queue.store(), edit));
  for (const StoredEdit& edit : Pending(x))
    pending.push_back(ComfyQueueItem(x.queue.store(), edit));
  x.Send(200, {{"queue_running", running}, {"queue_pending", pending}});
}

void Unqueue(Exchange& x) {
  bool all = false;
  std::vector<StoredEdit> gone;
  if (!ReadDeletion(x, all, gone)) return;
  if (all) gone = Pending(x);
  Status status;
  for (const StoredEdit& edit : gone) {
    if (status.ok() && edit.state == "queued") status = x.queue.Cancel(edit.id);
  }
  status.ok() ? SendEmpty(x) : x.FailStore(status);
}

void Interrupt(Exchange& x) {
  std::string body;
  if (!x.ReadBody(body)) return;
  const auto json = x.ParseBody(body);
  const std::string id = json.ok() && json->is_object() ? ComfyText(*json, "prompt_id") : "";
  auto running = Running(x);
  if (const auto named = Own(x, id); named && named->state == "review") running = named;
  if (running && (id.empty() || EditIdOf(id) == running->id)) {
    const Status status = x.queue.Cancel(running->id);
    if (!status.ok()) return x.FailStore(status);
  }
  SendEmpty(x);
}

// ---- What there is

Json FilesOf(Exchange& x, const std::string& kind) {
  if (kind == "input") return ComfyFiles(x.queue, x.owner).List();
  const bool model = kind == "checkpoints" || kind == "diffusion_models" ||
                     kind == "text_encoders" || kind == "vae";
  return model ? Json::array({x.queue.engine().model().name}) : Json::array();
}

// Names that ComfyUI's templates give to the parts of this model. They are taken like any other;
// listed, because clients look in the lists before they send a graph.
constexpr std::array<std::pair<std::string_view, const char*>, 7> kUsualNames = {
    {{"diffusion_models", "flux1-dev-kontext_fp8_scaled.safetensors"},
     {"diffusion_models", "flux1-kontext-dev.safetensors"},
     {"text_encoders", "clip_l.safetensors"},
     {"text_encoders", "t5xxl_fp16.safetensors"},
     {"text_encoders", "t5xxl_fp8_e4m3fn.safetensors"},
     {"text_encoders", "t5xxl_fp8_e4m3fn_scaled.safetensors"},
     {"vae", "ae.safetensors"}}};

void SendObjectInfo(Exchange& x, const std::string& only) {
  const auto files = [&](const std::string& kind) {
    Json names = FilesOf(x, kind);
    for (const auto& [of, name] : kUsualNames) {
      if (of == kind) names.push_back(name);
    }
    return names;
  };
  OrderedJson info = OrderedJson::object();
  for (const auto& [name, node] : ComfyNodes().items()) {
    if (only.empty() || only == name) info[name] = ComfyObjectInfo(name, files);
  }
  x.SendBytes("application/json", info.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void SendStats(Exchange& x) {
  const Ram ram = RamOfMachine();
  x.Send(200, {{"system",
                {{"os", "posix"},
                 {"ram_total", ram.total},
                 {"ram_free", ram.free},
                 {"comfyui_version", "kontext " + Version()},
                 {"python_version", ""},
                 {"pytorch_version", ""},
                 {"embedded_python", false},
                 {"argv", Json::array()}}},
               {"devices", Json::array({{{"name", "cpu"},
                                         {"type", "cpu"},
                                         {"index", 0},
                                         {"vram_total", ram.total},
                                         {"vram_free", ram.free},
                                         {"torch_vram_total", ram.total},
                                         {"torch_vram_free", ram.free}}})}});
}

// ComfyUI's own (folder_paths.py), most of them empty here.
constexpr std::array kFolders = {
    "checkpoints",      "configs",     "loras",         "vae",           "text_encoders",
    "diffusion_models", "clip_vision", "style_models",  "embeddings",    "diffusers",
    "vae_approx",       "controlnet",  "gligen",        "photomaker",    "upscale_models",
    "hypernetworks",    "classifiers", "model_patches", "audio_encoders"};

bool Get(Exchange& x, const std::string& what, const std::string& rest) {
  const bool alone = rest.empty();
  if (what == "history") {
    History(x, rest);
  } else if (what == "object_info") {
    SendObjectInfo(x, rest);
  } else if (what == "models" &&
             (alone || std::count(kFolders.begin(), kFolders.end(), rest) > 0)) {
    x.Send(200, alone ? Json(kFolders) : FilesOf(x, rest));
  } else if (!alone) {
    return false;
  } else if (what == "view") {
    ComfyView(x);
  } else if (what == "queue") {
    SendQueue(x);
  } else if (what == "prompt") {
    x.Send(200, {{"exec_info", {{"queue_remaining", ComfyRemaining(x.queue, x.owner)}}}});
  } else if (what == "system_stats") {
    SendStats(x);
  } else if (what == "embeddings" || what == "extensions") {
    x.Send(200, Json::array());
  } else if (what == "features") {
    x.Send(200, {{"supports_preview_metadata", true},
                 {"max_upload_size", x.queue.options().max_body_bytes}});
  } else if (what == "ws") {
    ComfySocket(x);
  } else {
    return false;
  }
  return true;
}

bool Post(Exchange& x, const std::string& what, const std::string& rest) {
  if (what == "upload" && (rest == "image" || rest == "mask")) {
    ComfyUpload(x, rest == "mask");
  } else if (!rest.empty()) {
    return false;
  } else if (what == "prompt") {
    Prompt(x);
  } else if (what == "history") {
    ForgetHistory(x);
  } else if (what == "queue") {
    Unqueue(x);
  } else if (what == "interrupt") {
    Interrupt(x);
  } else if (what == "free") {
    SendEmpty(x);  // one model, always loaded
  } else {
    return false;
  }
  return true;
}

}  // namespace

// Which methods take a path of ComfyUI's.
constexpr std::array<std::pair<const char*, const char*>, 17> kMethods = {
    {{"GET", "prompt"},
     {"POST", "prompt"},
     {"GET", "history"},
     {"POST", "history"},
     {"GET", "queue"},
     {"POST", "queue"},
     {"GET", "view"},
     {"POST", "upload"},
     {"POST", "interrupt"},
     {"GET", "object_info"},
     {"GET", "embeddings"},
     {"GET", "extensions"},
     {"GET", "models"},
     {"GET", "features"},
     {"POST", "free"},
     {"GET", "ws"},
     {"GET", "system_stats"}}};

std::string ComfyText(const Json& object, const char* name) {
  const Json value = object.value(name, Json());
  return value.is_string() ? value.get<std::string>() : "";
}

bool IsComfyRoute(const Exchange& x) {
  const size_t at = !x.path.empty() && x.path[0] == "api" ? 1 : 0;
  if (x.path.size() <= at || x.path.size() > at + 2) return false;
  return std::any_of(kMethods.begin(), kMethods.end(),
                     [&](const auto& known) { return x.path[at] == known.second; });
}

Json ComfyError(const std::string& code, const std::string& message) {
  return {{"error",
           {{"type", code}, {"message", message}, {"details", ""}, {"extra_info", Json::object()}}},
          {"node_errors", Json::object()}};
}

bool ComfyUi(Exchange& x) {
  if (!IsComfyRoute(x)) return false;
  const size_t at = x.path[0] == "api" ? 1 : 0;
  const std::string rest = x.path.size() > at + 1 ? x.path[at + 1] : "";
  for (const auto& [method, known] : kMethods) {
    if (x.path[at] == known) x.Allow(method);
  }
  if (x.method == "GET") return Get(x, x.path[at], rest);
  return x.method == "POST" && Post(x, x.path[at], rest);
}

}  // namespace kontext::serve
