#include "serve/queue.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <random>

#include "base/status.h"
#include "serve/draft.h"

namespace kontext::serve {

double Now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

Queue::Queue(const ServeOptions& options, Store& store, Engine& engine, std::string secret)
    : options_(options),
      store_(store),
      engine_(engine),
      secret_(std::move(secret)),
      projects_(options.folder),
      worker_([this] { Work(); }) {}

Queue::~Queue() {
  Stop();
  worker_.join();
}

void Queue::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    Changed();
  }
}

void Queue::Changed() {
  ++changes_;
  changed_.notify_all();
}

const std::vector<Queue::Place>& Queue::Order() {
  static const std::vector<Place> kUnknown;
  if (order_) return *order_;
  const auto waiting = store_.Waiting();
  if (!waiting.ok()) return kUnknown;
  order_.emplace();
  for (const StoredEdit& e : *waiting) order_->push_back({e.id, KindOf(e), e.steps, e.created});
  return *order_;
}

int64_t Queue::Version(const std::string& id) const {
  const auto it = live_.find(id);
  return it == live_.end() ? 0 : it->second.version;
}

std::string KindOf(const StoredEdit& edit) {
  const Json& f = edit.request;
  Json kind = {edit.inputs.size(), f.contains("turn"), f.value("true_cfg", 1.0) > 1};
  for (const char* name : {"width", "height", "mode", "like"})
    kind.push_back(f.value(name, Json()));
  return kind.dump();
}

double Queue::Predicted(const std::string& kind, int steps) const {
  const auto measured = step_seconds_.find(kind);
  return steps * (measured == step_seconds_.end() ? seconds_per_step_ : measured->second);
}

Queue::Refusal Queue::Submit(const Draft& draft, StoredEdit& edit, Status& why) {
  const auto failed = [&](const Status& status) {
    why = status;
    return Refusal::kStore;
  };
  const std::lock_guard lock(mutex_);  // so that limits and idempotency keys hold
  if (!draft.idempotency_key.empty()) {
    auto found = store_.FindIdempotent(draft.owner, draft.idempotency_key);
    if (!found.ok()) return failed(found.status());
    if (*found) {
      edit = **found;
      if (edit.body_hash == draft.body_hash) return Refusal::kNone;
      why = Usage("this Idempotency-Key was used for another request");
      return Refusal::kConflict;
    }
  }
  if (!draft.id.empty()) {
    const auto taken = store_.Get(draft.id);
    if (!taken.ok()) return failed(taken.status());
    if (*taken) {
      why = Usage("this id was used before");
      return Refusal::kConflict;
    }
  }
  int all = 0, own = 0;
  for (const auto& edits : {store_.Waiting(), store_.InReview(0, INT_MAX)}) {
    if (!edits.ok()) return failed(edits.status());
    for (const StoredEdit& e : *edits) own += e.owner == draft.owner ? 1 : 0;
    all += static_cast<int>(edits->size());
  }
  if (all >= options_.max_waiting || own >= options_.max_waiting_per_key) {
    why = Usage("{} edits are waiting, {} of this key; at most {} and {}", all, own,
                options_.max_waiting, options_.max_waiting_per_key);
    ++counters_["refused"];
    return Refusal::kBusy;
  }
  edit = StoredEdit();
  edit.id = draft.id.empty() ? RandomHex(32) : draft.id;
  edit.owner = draft.owner;
  edit.state = "queued";
  edit.created = Now();
  edit.request = draft.fields;
  edit.idempotency_key = draft.idempotency_key;
  edit.body_hash = draft.body_hash;
  if (!edit.request.contains("seed")) edit.request["seed"] = std::random_device()();
  const int n = edit.request.value("n", 1);
  edit.request["n"] = n;
  edit.steps = n * edit.request.value("steps", engine_.model().default_steps);
  std::vector<NewPicture> pictures;
  const auto keep = [&](const std::string& bytes) { return pictures.emplace_back(bytes).hash; };
  for (const std::string& bytes : draft.pictures) edit.inputs.push_back(keep(bytes));
  if (!draft.mask.empty()) edit.mask = keep(draft.mask);
  for (const std::string& bytes : draft.attachments)
    edit.request["attached"].push_back(keep(bytes));
  if (const Status added = store_.Add(edit, pictures, draft.webhook); !added.ok())
    return failed(added);
  order_.reset();
  ++counters_["accepted"];
  Changed();
  return Refusal::kNone;
}

Status Queue::Cancel(const std::string& id) {
  std::unique_lock lock(mutex_);
  if (running_ == id) {
    cancel_running_ = true;
    changed_.wait(lock, [&] { return running_ != id || stop_ || !trouble_.empty(); });
    return Status();
  }
  KX_ASSIGN_OR_RETURN(std::optional<StoredEdit> edit, store_.Get(id));
  if (!edit || (edit->state != "queued" && edit->state != "review")) return Status();
  return Finish(*edit, "cancelled", Status(Code::kCancelled, "cancelled while it waited"));
}

Live Queue::Look(const StoredEdit& edit) {
  const std::lock_guard lock(mutex_);
  const auto own = live_.find(edit.id);
  Live live = own == live_.end() ? Live() : own->second;
  if (edit.state == "review") live.progress = ReviewProgress(edit);
  if (edit.state != "queued") return live;
  live.position = running_.empty() ? 0 : 1;
  const auto current = live_.find(running_);
  live.predicted = Predicted(KindOf(edit), edit.steps);
  if (current != live_.end()) live.predicted += current->second.predicted;
  for (const Place& other : Order()) {
    if (other.id == edit.id) break;
    ++live.position;
    live.predicted += Predicted(other.kind, other.steps);
  }
  return live;
}

void Queue::WaitForChange(const std::string& id, int64_t version, double seconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                    [&] { return stop_ || Version(id) != version; });
}

int64_t Queue::WaitForAnyChange(int64_t seen, double seconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                    [&] { return stop_ || changes_ != seen; });
  return changes_;
}

Result<StoredEdit> Queue::WaitForEnd(const std::string& id, const std::function<bool()>& left) {
  double until = 0;
  while (true) {
    KX_ASSIGN_OR_RETURN(const std::optional<StoredEdit> edit, store_.Get(id));
    if (!edit) return BadInput("the edit {} was deleted", id);
    if (edit->finished > 0) return *edit;
    if (stop_) return Status(Code::kCancelled, "the server is shutting down; the edit is kept");
    if (edit->state == "review") {
      if (until == 0) until = Now() + options_.review_wait_seconds;
      if (Now() >= until)
        return Status(Code::kCancelled,
                      fmt::format("the edit {} is done and waits for a reviewer; it is kept", id));
    }
    if (left()) return Status(Code::kCancelled, "the client has left; the edit is kept");
    WaitForChange(id, Look(*edit).version, 1);
  }
}

Queue::Figures Queue::Tally() {
  const std::lock_guard lock(mutex_);
  Figures figures;
  figures.edits = counters_;
  figures.steps = steps_;
  figures.waiting = std::ssize(Order());
  for (const Place& place : Order())
    figures.oldest_waiting_seconds =
        std::max(figures.oldest_waiting_seconds, Now() - place.created);
  const auto held = store_.InReview(0, INT_MAX);
  figures.review = held.ok() ? std::ssize(*held) : 0;
  figures.running = running_.empty() ? 0 : 1;
  figures.seconds_per_step = seconds_per_step_;
  figures.stored = trouble_.empty();
  return figures;
}

std::string Queue::running() {
  const std::lock_guard lock(mutex_);
  return running_;
}

std::string Queue::trouble() {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

}  // namespace kontext::serve
