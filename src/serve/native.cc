// The native API: docs/openapi.json.
#include <mutex>

#include "base/status.h"
#include "kontext/fit.h"
#include "serve/base64.h"
#include "serve/exchange.h"

namespace kontext::serve {

// docs/openapi.json, from cmake/embed.cmake.
extern const std::string kOpenApi;

namespace {

bool Ended(const StoredEdit& edit) { return edit.finished > 0; }

// The edit with the id in the path, if this key may see it; sends 404 otherwise.
std::optional<StoredEdit> Find(Exchange& x) {
  auto edit = x.queue.Get(x.path[2]);
  if (!edit.ok()) {
    x.FailStore(edit.status());
    return std::nullopt;
  }
  if (*edit && (**edit).owner == x.owner) return *edit;
  x.Fail(404, "not_found", "there is no such edit");
  return std::nullopt;
}

// The parts of a form as the fields of a JSON body; files named image are its pictures.
Json FieldsOf(const Exchange& x, const std::vector<Part>& parts, Draft& draft) {
  Json body = Json::object();
  for (const Part& part : parts) {
    if (part.name == "image" || part.name == "image[]") {
      draft.pictures.push_back(part.bytes);
    } else if (part.name == "mask") {
      draft.mask = part.bytes;
    } else if (part.name == "prompt" || part.name == "negative" || part.name == "like") {
      body[part.name] = part.bytes;
    } else {
      const auto value = x.ParseBody(part.bytes, part.name);
      body[part.name] = value.ok() ? *value : Json(part.bytes);
    }
  }
  return body;
}

void Create(Exchange& x) {
  Draft draft;
  Json body;
  if (x.IsMultipart()) {
    std::vector<Part> parts;
    if (!x.ReadParts(parts)) return;
    body = FieldsOf(x, parts, draft);
  } else if (!x.ReadJson(body)) {
    return;
  }
  std::vector<FieldError> errors =
      ReadFields(body, x.queue.engine().limits(), x.queue.options(), draft);
  Accept(x, draft, std::move(errors));
}

void List(Exchange& x) {
  const int limit = x.PageLimit();
  const auto edits = x.queue.store().List(x.owner, x.Number("before", 0), limit);
  if (!edits.ok()) return x.FailStore(edits.status());
  Json page = {{"edits", Json::array()}};
  for (const StoredEdit& edit : *edits) page["edits"].push_back(EditJson(x.queue, edit));
  if (std::ssize(*edits) == limit) page["next"] = std::to_string(edits->back().number);
  x.Send(200, page);
}

void Cancel(Exchange& x, bool forget) {
  auto edit = Find(x);
  if (!edit) return;
  Status status = x.queue.Cancel(edit->id);
  if (status.ok() && forget && Ended(*edit)) status = x.queue.store().Forget(edit->id);
  if (!status.ok()) return x.FailStore(status);
  const auto after = x.queue.Get(edit->id);
  x.Send(200, EditJson(x.queue, after.ok() && *after ? **after : *edit));
}

void Watch(Exchange& x) {
  auto edit = Find(x);
  if (!edit || !x.Stay()) return;
  std::ostream& out = x.Stream();
  if (x.request.getMethod() != x.method) return;  // HEAD
  const auto event = [&](const std::string& name, const Json& data) {
    out << "event: " << name
        << "\ndata: " << data.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n\n"
        << std::flush;
  };
  int64_t seen = -1;
  std::string state;  // read before the version, so it may be told late: it is looked at too
  Json last;
  double told = 0;
  while (out.good()) {
    const Live live = x.queue.Look(*edit);
    if (Ended(*edit)) return event(edit->state, EditJson(x.queue, *edit));
    Json now = {{"position", live.position}, {"predicted_seconds", live.predicted}};
    if (edit->state == "queued" && now != last) {
      event("queued", now);
      last = std::move(now);
      told = Now();
    } else if (edit->state != "queued" && (live.version != seen || edit->state != state) &&
               live.progress.is_object()) {
      Json progress = live.progress;
      if (!live.preview.empty())
        progress["preview"] = "data:image/png;base64," + ToBase64(live.preview);
      event("step", progress);
      told = Now();
    } else if (Now() - told > 15) {
      out << ": still here\n\n" << std::flush;
      told = Now();
    }
    seen = live.version;
    state = edit->state;
    x.queue.WaitForChange(edit->id, seen, 1);
    const auto next = x.queue.Get(edit->id);
    if (!next.ok() || !*next) return;
    edit = *next;
  }
}

void Image(Exchange& x) {
  const auto edit = Find(x);
  if (!edit) return;
  for (const StoredImage& image : edit->images) {
    if (std::to_string(image.index) != x.path[4] || edit->state == "moderated") continue;
    const auto png = x.queue.store().GetPicture(image.hash);
    if (!png.ok()) return x.FailStore(png.status());
    x.response.set("ETag", '"' + image.hash + '"');
    return x.SendBytes("image/png", *png);
  }
  x.Fail(404, "not_found", "there is no such picture");
}

void SendModel(Exchange& x) {
  const ModelInfo m = x.queue.engine().model();
  const EditLimits l = x.queue.engine().limits();
  Json sizes = Json::array();
  for (const Size& s : m.preferred_sizes)
    sizes.push_back({{"width", s.width}, {"height", s.height}});
  const bool mini = m.name.find("mini") != std::string::npos;
  const Json examples =
      mini ? Json({"make it night", "put the cat in the city", "turn it into pixel art",
                   "make the robot blue", "give the robot a red crown"})
           : Json({"Change the car color to red",
                   "Change the background to a beach while keeping the person in the exact same "
                   "position, scale, and pose",
                   "Replace 'joy' with 'BFL', maintain the same font style"});
  x.Send(200, {{"name", m.name},
               {"license", m.license},
               {"fingerprint", m.fingerprint},
               {"variant", m.variant},
               {"preferred_sizes", sizes},
               {"default_steps", m.default_steps},
               {"default_guidance", m.default_guidance},
               {"t5_tokens", m.t5_tokens},
               {"examples", examples},
               {"version", Version()},
               {"limits",
                {{"multiple", l.multiple},
                 {"min_side", l.min_side},
                 {"max_side", l.max_side},
                 {"max_pixels", l.max_pixels},
                 {"max_steps", l.max_steps},
                 {"max_count", kMostPictures},
                 {"max_images", l.max_images},
                 {"max_prompt_bytes", l.max_prompt_bytes},
                 {"max_body_bytes", x.queue.options().max_body_bytes}}}});
}

// Calibrates once in the server's life.
void SendFit(Exchange& x) {
  static std::mutex mutex;
  static std::string known;
  const std::lock_guard lock(mutex);
  if (known.empty()) {
    FitOptions options;
    options.engine = x.queue.options().engine;
    const auto fit = FitMachine(options);
    if (!fit.ok()) return x.Fail(500, "fit", fit.message());
    known = FitJson(*fit);
  }
  x.SendBytes("application/json", known);
}

void SendTokens(Exchange& x) {
  Json body;
  if (!x.ReadJson(body)) return;
  const bool sound = body.is_object() && body.contains("prompt") && body["prompt"].is_string();
  const size_t most = static_cast<size_t>(x.queue.engine().limits().max_prompt_bytes);
  if (!sound || body["prompt"].get_ref<const std::string&>().size() > most) {
    const std::string message = fmt::format("must be a string of at most {} bytes", most);
    return x.Fail(400, "bad_request", "prompt: " + message, {{"prompt", message}});
  }
  const auto counts = x.queue.engine().CountTokens(body["prompt"].get<std::string>());
  if (!counts.ok()) return x.Fail(400, "bad_request", counts.message());
  x.Send(200, {{"t5", {{"tokens", counts->t5}, {"limit", counts->t5_limit}}},
               {"clip", {{"tokens", counts->clip}, {"limit", counts->clip_limit}}}});
}

}  // namespace

Json EditJson(Queue& queue, const StoredEdit& e) {
  Json request = e.request;
  request["images"] = e.inputs.size();
  for (const char* hidden : {"comfyui", "attached", "bfl"}) request.erase(hidden);
  Json images = Json::array();
  for (const StoredImage& i : e.images) {
    if (e.state == "moderated") break;
    images.push_back({{"index", i.index},
                      {"url", fmt::format("/v1/edits/{}/images/{}", e.id, i.index)},
                      {"seed", i.seed},
                      {"width", i.width},
                      {"height", i.height},
                      {"seconds", i.seconds}});
  }
  const std::string state = e.state == "review" ? "running" : e.state;
  Json json = {{"id", e.id},         {"state", state},   {"created", e.created},
               {"request", request}, {"images", images}, {"notes", e.notes}};
  if (e.started > 0) json["started"] = e.started;
  if (e.finished > 0) json["finished"] = e.finished;
  if (!e.error_code.empty()) json["error"] = {{"code", e.error_code}, {"message", e.error_message}};
  if (e.finished > 0) return json;
  const Live live = queue.Look(e);
  if (live.position >= 0) json["position"] = live.position;
  if (live.predicted > 0) json["predicted_seconds"] = live.predicted;
  if (live.progress.is_object()) json["progress"] = live.progress;
  return json;
}

bool Native(Exchange& x) {
  if (x.Is("POST", "v1/edits")) {
    Create(x);
  } else if (x.Is("GET", "v1/edits")) {
    List(x);
  } else if (x.Is("GET", "v1/edits/*")) {
    if (const auto edit = Find(x)) x.Send(200, EditJson(x.queue, *edit));
  } else if (x.Is("DELETE", "v1/edits/*")) {
    Cancel(x, true);
  } else if (x.Is("POST", "v1/edits/*/cancel")) {
    Cancel(x, false);
  } else if (x.Is("GET", "v1/edits/*/events")) {
    Watch(x);
  } else if (x.Is("GET", "v1/edits/*/images/*")) {
    Image(x);
  } else if (x.Is("GET", "v1/model")) {
    SendModel(x);
  } else if (x.Is("GET", "v1/fit")) {
    SendFit(x);
  } else if (x.Is("POST", "v1/tokens")) {
    SendTokens(x);
  } else if (x.Is("GET", "v1/openapi.json")) {
    x.SendBytes("application/json", kOpenApi);
  } else {
    return false;
  }
  return true;
}

}  // namespace kontext::serve
