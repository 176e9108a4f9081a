// BFL's API: tasks of FLUX.1 Kontext [pro] and [max], which are the same edit here, and their
// results. What was decided where its documents are silent: docs/serve.md.
#include "serve/bfl.h"

#include <algorithm>

#include "base/status.h"
#include "serve/samples.h"
#include "serve/signature.h"

namespace kontext::serve {
namespace {

constexpr int64_t kSampleSeconds = 600;  // as long as BFL's own URLs
constexpr int kRetrySeconds = 5;

std::string FormatOf(const StoredEdit& edit) {
  const auto bfl = edit.request.find("bfl");
  return bfl == edit.request.end() ? "png" : bfl->value("output_format", "png");
}

// A polling URL that was given away needs no key: in BFL's OpenAPI get_result has no security, and
// there are clients that send none.
std::string PollSignature(const Queue& queue, const std::string& id) {
  return HmacHex(queue.secret(), "bfl result " + id);
}

std::string PollUrl(const Exchange& x, const std::string& id) {
  const std::string url = fmt::format("{}/v1/get_result?id={}", x.Base(), id);
  return x.owner.empty() ? url : url + "&signature=" + PollSignature(x.queue, id);
}

// FastAPI's list of what is wrong with a request.
void Refuse(Exchange& x, const char* where, const std::vector<FieldError>& errors) {
  Json detail = Json::array();
  for (const FieldError& error : errors) {
    Json loc = {where};
    if (!error.field.empty()) loc.push_back(error.field);
    detail.push_back({{"loc", loc}, {"msg", error.message}, {"type", "value_error"}});
  }
  x.Send(422, {{"detail", detail}});
}

void Create(Exchange& x) {
  std::string text;
  if (!x.ReadBody(text)) return;
  const auto body = x.ParseBody(text);
  if (!body.ok()) return Refuse(x, "body", {{"", body.message()}});
  Draft draft;
  const auto errors = ReadBflFields(x, *body, draft);
  if (!errors.empty()) return Refuse(x, "body", errors);
  draft.body_hash = BodyHash(draft);
  StoredEdit edit;
  if (!x.Submit(draft, edit)) return;
  Json answer = {{"id", edit.id},
                 {"polling_url", PollUrl(x, edit.id)},
                 {"cost", nullptr},
                 {"input_mp", nullptr},
                 {"output_mp", nullptr}};
  if (draft.webhook) {
    answer["status"] = "Pending";
    answer["webhook_url"] = draft.webhook->url;
  }
  x.Send(200, answer);
}

// Of any key's task if the URL is one that this server gave away.
void SendResult(Exchange& x, bool given_away) {
  const std::string id = x.Query("id");
  if (!x.query.contains("id")) return Refuse(x, "query", {{"id", "is missing"}});
  const auto edit = x.queue.Get(id);
  if (!edit.ok()) return x.FailStore(edit.status());
  if (*edit && (given_away || (**edit).owner == x.owner))
    return x.Send(200, BflResult(x.queue, **edit, x.Base()));
  x.Send(200, {{"id", id},
               {"status", "Task not found"},
               {"result", nullptr},
               {"progress", nullptr},
               {"details", nullptr},
               {"preview", nullptr}});
}

}  // namespace

bool IsBflRoute(const Exchange& x) {
  return x.path.size() >= 2 && x.path[0] == "v1" &&
         (x.path[1].starts_with("flux-") || x.path[1] == "get_result" || x.path[1] == "samples");
}

Json BflError(const std::string& code, const std::string& message) {
  Json error = {{"error", code == "busy" ? "rate_limit_exceeded" : code},
                {"message", message},
                {"detail", message}};
  if (code == "busy") error["retry_after"] = kRetrySeconds;
  return error;
}

Json BflResult(Queue& queue, const StoredEdit& edit, const std::string& base) {
  Json answer = {{"id", edit.id},       {"status", "Pending"}, {"result", nullptr},
                 {"progress", nullptr}, {"details", nullptr},  {"preview", nullptr}};
  const auto bfl = edit.request.find("bfl");
  const Json notes = bfl == edit.request.end() ? Json::array() : bfl->value("notes", Json::array());
  if (!notes.empty()) answer["details"] = {{"notes", notes}};
  if (edit.state == "ready" && !edit.images.empty()) {
    const StoredImage& image = edit.images.front();
    answer["status"] = "Ready";
    answer["progress"] = 1.0;
    answer["result"] = {
        {"sample", SampleUrl(queue, base, edit.id, 0, FormatOf(edit), kSampleSeconds)},
        {"prompt", edit.request.value("prompt", "")},
        {"seed", image.seed}};
  } else if (edit.state == "moderated") {
    answer["status"] =
        edit.error_code == kRequestModerated ? "Request Moderated" : "Content Moderated";
  } else if (edit.finished > 0) {
    answer["status"] = "Error";
    answer["details"]["message"] = edit.error_message;
  } else if (const Live live = queue.Look(edit); live.progress.is_object()) {
    answer["progress"] =
        double{1} * live.progress.value("step", 0) / std::max(live.progress.value("steps", 1), 1);
  }
  return answer;
}

bool BflGivenPoll(Exchange& x) {
  if (!x.Is("GET", "v1/get_result") ||
      !SameText(PollSignature(x.queue, x.Query("id")), x.Query("signature")))
    return false;
  SendResult(x, true);
  return true;
}

bool Bfl(Exchange& x) {
  if (x.Is("POST", "v1/flux-kontext-pro") || x.Is("POST", "v1/flux-kontext-max") ||
      x.Is("POST", "v1/flux-kontext")) {
    Create(x);
  } else if (x.Is("GET", "v1/get_result")) {
    SendResult(x, false);
  } else {
    return false;
  }
  return true;
}

}  // namespace kontext::serve
