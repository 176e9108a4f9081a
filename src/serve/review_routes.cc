// The native API's part for reviewers (docs/openapi.json): what waits, its pictures, the decision.
#include "base/status.h"
#include "serve/exchange.h"
#include "serve/inputs.h"

namespace kontext::serve {
namespace {

constexpr size_t kMostReason = 1000;    // bytes
constexpr size_t kReviewerDigits = 16;  // of a key's hash: tells two reviewers apart, and no more

Json ReviewJson(const StoredEdit& e) {
  Json inputs = Json::array(), images = Json::array();
  for (size_t i = 0; i < CountInputs(e); ++i)
    inputs.push_back(fmt::format("/v1/review/{}/inputs/{}", e.id, i));
  for (const StoredImage& i : e.held)
    images.push_back({{"index", i.index},
                      {"url", fmt::format("/v1/review/{}/images/{}", e.id, i.index)},
                      {"seed", i.seed},
                      {"width", i.width},
                      {"height", i.height}});
  return {{"id", e.id},
          {"number", e.number},
          {"created", e.created},
          {"prompt", e.request.value("prompt", "")},
          {"negative", e.request.value("negative", "")},
          {"owner", e.owner.substr(0, kReviewerDigits)},
          {"decided", e.state != "review"},
          {"inputs", inputs},
          {"images", images}};
}

void ListWaiting(Exchange& x) {
  const int limit = x.PageLimit();
  const auto edits = x.queue.store().InReview(x.Number("after", 0), limit);
  if (!edits.ok()) return x.FailStore(edits.status());
  Json page = {{"waiting", Json::array()}};
  for (const StoredEdit& edit : *edits) page["waiting"].push_back(ReviewJson(edit));
  if (std::ssize(*edits) == limit) page["next"] = std::to_string(edits->back().number);
  x.Send(200, page);
}

void ListDecisions(Exchange& x) {
  const int limit = x.PageLimit();
  const auto decisions = x.queue.store().Decisions(x.Number("before", 0), limit);
  if (!decisions.ok()) return x.FailStore(decisions.status());
  Json page = {{"decisions", Json::array()}};
  for (const Decision& d : *decisions)
    page["decisions"].push_back({{"edit", d.edit},
                                 {"approved", d.approved},
                                 {"reason", d.reason},
                                 {"reviewer", d.reviewer.substr(0, kReviewerDigits)},
                                 {"owner", d.owner.substr(0, kReviewerDigits)},
                                 {"time", d.time}});
  if (std::ssize(*decisions) == limit) page["next"] = std::to_string(decisions->back().number);
  x.Send(200, page);
}

// The edit of the path if it waits for a review or was refused; sends 404 otherwise.
std::optional<StoredEdit> Find(Exchange& x) {
  auto edit = x.queue.Get(x.path[2]);
  if (!edit.ok()) {
    x.FailStore(edit.status());
    return std::nullopt;
  }
  const bool shown = *edit && !(**edit).held.empty() &&
                     ((**edit).state == "review" || (**edit).state == "moderated");
  if (shown) return *edit;
  x.Fail(404, "not_found", "no such edit waits for a review");
  return std::nullopt;
}

void SendPicture(Exchange& x, const Result<std::string>& bytes) {
  if (!bytes.ok()) return x.Fail(404, "not_found", "there is no such picture");
  x.response.set("Cache-Control", "private, no-store");
  x.SendBytes(PictureType(*bytes), *bytes);
}

void SendImage(Exchange& x) {
  const auto edit = Find(x);
  if (!edit) return;
  for (const StoredImage& image : edit->held) {
    if (std::to_string(image.index) == x.path[4])
      return SendPicture(x, x.queue.store().GetPicture(image.hash));
  }
  x.Fail(404, "not_found", "there is no such picture");
}

void SendInput(Exchange& x) {
  const auto edit = Find(x);
  if (!edit) return;
  size_t index = 0;
  while (index < CountInputs(*edit) && std::to_string(index) != x.path[4]) ++index;
  SendPicture(x, InputOf(*edit, index, x.queue.store(), x.queue.projects()));
}

// {"reason": "..."}, both optional; false after a 400 was sent.
bool ReadReason(Exchange& x, std::string& reason) {
  std::string body;
  if (!x.ReadBody(body)) return false;
  const auto json = body.empty() ? Result<Json>(Json::object()) : x.ParseBody(body);
  if (!json.ok()) {
    x.Fail(400, "bad_json", json.message());
    return false;
  }
  const std::string message = fmt::format("must be a string of at most {} bytes", kMostReason);
  if (json->is_object() && !json->contains("reason")) return true;
  if (!json->is_object() || !(*json)["reason"].is_string() ||
      (*json)["reason"].get_ref<const std::string&>().size() > kMostReason) {
    x.Fail(400, "bad_request", "reason: " + message, {{"reason", message}});
    return false;
  }
  reason = (*json)["reason"].get<std::string>();
  return true;
}

void Decide(Exchange& x, bool approved) {
  Decision decision;
  if (!ReadReason(x, decision.reason)) return;
  const auto edit = Find(x);
  if (!edit) return;
  decision.approved = approved;
  decision.reviewer = x.owner;
  const auto decided = x.queue.Decide(edit->id, decision);
  if (decided.status().code() == Code::kUsage) return x.Fail(409, "decided", decided.message());
  if (!decided.ok()) return x.FailStore(decided.status());
  // Without the reason: it may speak of the prompt.
  if (x.queue.options().log)
    x.queue.options().log(Json({{"review", edit->id},
                                {"approved", approved},
                                {"reviewer", x.owner.substr(0, kReviewerDigits)}})
                              .dump());
  x.Send(200, {{"id", decided->id}, {"state", decided->state}});
}

}  // namespace

bool ReviewApi(Exchange& x) {
  if (x.Is("GET", "v1/review")) {
    ListWaiting(x);
  } else if (x.Is("GET", "v1/review/decisions")) {
    ListDecisions(x);
  } else if (x.Is("GET", "v1/review/*")) {
    if (const auto edit = Find(x)) x.Send(200, ReviewJson(*edit));
  } else if (x.Is("GET", "v1/review/*/images/*")) {
    SendImage(x);
  } else if (x.Is("GET", "v1/review/*/inputs/*")) {
    SendInput(x);
  } else if (x.Is("POST", "v1/review/*/approve")) {
    Decide(x, true);
  } else if (x.Is("POST", "v1/review/*/refuse")) {
    Decide(x, false);
  } else {
    return false;
  }
  return true;
}

}  // namespace kontext::serve
