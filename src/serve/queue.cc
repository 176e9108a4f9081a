#include "serve/queue.h"

#include <chrono>
#include <climits>
#include <random>

#include "base/status.h"
#include "serve/draft.h"
#include "serve/filter.h"

namespace kontext::serve {
namespace {

const char* StageName(Stage stage) {
  switch (stage) {
    case Stage::kPrompt:
      return "prompt";
    case Stage::kReferences:
      return "references";
    case Stage::kSteps:
      return "steps";
    case Stage::kDecode:
      return "decode";
    case Stage::kDone:
      return "done";
  }
  return "";
}

}  // namespace

double Now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Carries what the engine tells into the store and to the watchers.
class Queue::Listener : public EditListener {
 public:
  Listener(Queue& queue, StoredEdit& edit, const EditRequest& request, int64_t last_picture)
      : queue_(queue), edit_(edit), request_(request), next_(static_cast<int>(last_picture)) {}

  void OnProgress(const Progress& p) override {
    std::string preview;
    if (queue_.shows_previews() && p.preview != nullptr && p.preview->width > 0) {
      const Result<std::string> png = EncodePictureBytes({*p.preview, 0, "", 0}, ".png");
      if (png.ok()) preview = *png;
    }
    const std::lock_guard lock(queue_.mutex_);
    Live& live = queue_.live_[edit_.id];
    ++live.version;
    live.position = -1;
    live.predicted = p.seconds_left;
    live.progress = {{"stage", StageName(p.stage)},
                     {"picture", p.picture},
                     {"pictures", p.pictures},
                     {"step", p.step},
                     {"steps", p.steps},
                     {"seconds_per_step", p.seconds_per_step},
                     {"seconds_left", p.seconds_left}};
    if (!preview.empty()) live.preview = std::move(preview);
    if (p.seconds_per_step > 0) queue_.seconds_per_step_ = p.seconds_per_step;
    if (p.step > 0 && p.stage == Stage::kSteps) ++queue_.counters_["steps"];
    queue_.Changed();
  }
  void OnNote(const std::string& note) override { edit_.notes.push_back(note); }
  bool WantsCheckpoints() override { return true; }
  void OnCheckpoint(const ResumePoint& c) override {
    Keep(queue_.store_.SaveCheckpoint(edit_.id, c));
  }
  void OnPicture(const Edited& edited) override {
    const Result<std::string> png = EncodePictureBytes(edited, ".png");
    if (!png.ok()) return Keep(png.status());
    // Before it is stored anywhere: what is stored can be fetched, and is not judged again after a
    // restart.
    Keep(RunFilter(
        queue_.options_.filter_after, FilterInput(edit_, "after", *png),
        [this] { return Cancelled(); }, edit_));
    const bool held = queue_.options_.review;
    if (status_.ok() && !held) Keep(queue_.projects_.Keep(edit_, request_, edited));
    if (!status_.ok()) return;
    const Result<std::string> hash = queue_.store_.PutPicture(*png);
    if (!hash.ok()) return Keep(hash.status());
    StoredImage image{
        next_++,        *hash, edited.seed, edited.picture.width, edited.picture.height,
        edited.seconds, ""};
    if (held && edit_.request.contains("project") && !edited.latents.data.empty()) {
      const Result<std::string> latents = queue_.store_.PutPicture(BytesOf(edited.latents));
      if (!latents.ok()) return Keep(latents.status());
      image.latents = *latents;
    }
    Keep(queue_.store_.AddImage(edit_.id, image, held));
  }
  bool Cancelled() override { return !status_.ok() || queue_.RunShouldEnd(); }
  const Status& status() const { return status_; }

 private:
  void Keep(const Status& status) {
    if (status_.ok()) status_ = status;
  }
  Queue& queue_;
  StoredEdit& edit_;
  const EditRequest& request_;
  int next_;
  Status status_;
};

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
  for (const StoredEdit& e : *waiting) order_->push_back({e.id, e.steps});
  return *order_;
}

int64_t Queue::Version(const std::string& id) const {
  const auto it = live_.find(id);
  return it == live_.end() ? 0 : it->second.version;
}

Queue::Refusal Queue::Submit(const Draft& draft, StoredEdit& edit, std::string& message) {
  const auto bad = [&](const Status& status) {
    message = status.message();
    return Refusal::kBad;
  };
  const std::lock_guard lock(mutex_);  // so that limits and idempotency keys hold
  if (!draft.idempotency_key.empty()) {
    auto found = store_.FindIdempotent(draft.owner, draft.idempotency_key);
    if (!found.ok()) return bad(found.status());
    if (*found) {
      edit = **found;
      if (edit.body_hash == draft.body_hash) return Refusal::kNone;
      message = "this Idempotency-Key was used for another request";
      return Refusal::kConflict;
    }
  }
  if (!draft.id.empty()) {
    const auto taken = store_.Get(draft.id);
    if (!taken.ok()) return bad(taken.status());
    message = "this id was used before";
    if (*taken) return Refusal::kConflict;
  }
  int all = 0, own = 0;
  for (const auto& edits : {store_.Waiting(), store_.InReview(0, INT_MAX)}) {
    if (!edits.ok()) return bad(edits.status());
    for (const StoredEdit& e : *edits) own += e.owner == draft.owner ? 1 : 0;
    all += static_cast<int>(edits->size());
  }
  if (all >= options_.max_waiting || own >= options_.max_waiting_per_key) {
    message = fmt::format("{} edits are waiting, {} of this key; at most {} and {}", all, own,
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
  for (const std::string& bytes : draft.pictures) {
    const auto hash = store_.PutPicture(bytes);
    if (!hash.ok()) return bad(hash.status());
    edit.inputs.push_back(*hash);
  }
  if (!draft.mask.empty()) {
    const auto hash = store_.PutPicture(draft.mask);
    if (!hash.ok()) return bad(hash.status());
    edit.mask = *hash;
  }
  for (const std::string& bytes : draft.attachments) {
    const auto hash = store_.PutPicture(bytes);
    if (!hash.ok()) return bad(hash.status());
    edit.request["attached"].push_back(*hash);
  }
  const Status added =
      draft.webhook ? store_.AddWithWebhook(edit, *draft.webhook) : store_.Add(edit);
  if (!added.ok()) return bad(added);
  order_.reset();
  ++counters_["accepted"];
  Changed();
  return Refusal::kNone;
}

Status Queue::Cancel(const std::string& id) {
  std::unique_lock lock(mutex_);
  if (running_ == id) {
    cancel_running_ = true;
    changed_.wait(lock, [&] { return running_ != id || stop_; });
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
  live.predicted = seconds_per_step_ * edit.steps;
  if (current != live_.end()) live.predicted += current->second.predicted;
  for (const Place& other : Order()) {
    if (other.id == edit.id) break;
    ++live.position;
    live.predicted += seconds_per_step_ * other.steps;
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

Json Queue::Counters() {
  const std::lock_guard lock(mutex_);
  Json json = counters_;
  json["waiting"] = std::ssize(Order());
  const auto held = store_.InReview(0, INT_MAX);
  json["review"] = held.ok() ? std::ssize(*held) : -1;
  json["running"] = running_.empty() ? 0 : 1;
  json["seconds_per_step"] = seconds_per_step_;
  return json;
}

std::string Queue::running() {
  const std::lock_guard lock(mutex_);
  return running_;
}

void Queue::Work() {
  while (!stop_) {
    std::optional<StoredEdit> next;
    {
      std::unique_lock lock(mutex_);
      auto waiting = store_.Waiting();
      if (!waiting.ok() || waiting->empty()) {
        changed_.wait_for(lock, std::chrono::seconds(1));
        continue;
      }
      next = std::move(waiting->front());
      running_ = next->id;
      cancel_running_ = false;
      next->state = "running";
      if (next->started == 0) next->started = Now();
      order_.reset();
      if (!store_.Update(*next).ok()) {
        running_.clear();
        changed_.wait_for(lock, std::chrono::seconds(1));
        continue;
      }
      ++live_[next->id].version;
      live_[next->id].position = -1;
      Changed();
    }
    RunOne(std::move(*next));
  }
}

bool Queue::RunShouldEnd() {
  const std::lock_guard lock(mutex_);
  return stop_ || cancel_running_;
}

void Queue::RunOne(StoredEdit edit) {
  edit.notes = Json::array();  // of a run that was cut short: they come again
  const auto run = [&]() -> Status {
    const Status let = RunFilter(
        options_.filter_before, FilterInput(edit, "before", ""), [this] { return RunShouldEnd(); },
        edit);
    if (edit.error_code == "moderated") edit.error_code = kRequestModerated;
    KX_RETURN_IF_ERROR(let);
    KX_ASSIGN_OR_RETURN(EditRequest request, RequestOf(edit, store_));
    KX_ASSIGN_OR_RETURN(request.resume, store_.LoadCheckpoint(edit.id));
    const int first = request.resume ? request.resume->picture : 0;
    if (first >= request.count) return Status();
    KX_RETURN_IF_ERROR(projects_.Begin(edit, request));
    Listener listener(*this, edit, request, first);
    const auto edits = engine_.Edit(request, &listener);
    KX_RETURN_IF_ERROR(listener.status());
    return edits.status();
  };
  const Status status = run();
  const std::lock_guard lock(mutex_);
  running_.clear();
  if (stop_ && status.code() == Code::kCancelled && !cancel_running_) {
    edit.state = "queued";  // goes on from its last step when the server is back
    (void)store_.Update(edit);
    order_.reset();
  } else if (edit.error_code == "moderated" || edit.error_code == kRequestModerated) {
    (void)Finish(edit, "moderated", Status(Code::kUsage, edit.error_message));
  } else if (status.ok()) {
    Complete(edit);
  } else {
    (void)Finish(edit, status.code() == Code::kCancelled ? "cancelled" : "failed", status);
  }
  if (options_.keep_bytes_per_key > 0)
    (void)store_.TrimOwner(edit.owner, options_.keep_bytes_per_key);
  (void)store_.Trim(options_.keep_bytes);
  Changed();
}

void Queue::Complete(StoredEdit& edit) {
  const auto stored = store_.Get(edit.id);
  if (!stored.ok() || !*stored) {
    (void)Finish(edit, "failed", stored.ok() ? Internal("the edit is gone") : stored.status());
  } else if ((**stored).held.empty()) {
    (void)Finish(edit, "ready", Status());
  } else {
    edit.state = "review";
    (void)store_.Update(edit);
    ++live_[edit.id].version;
    Changed();
  }
}

// With mutex_ held.
Status Queue::Finish(StoredEdit& edit, const char* state, const Status& why) {
  edit.state = state;
  edit.finished = Now();
  if (!why.ok()) {
    if (edit.error_code.empty()) edit.error_code = state;
    edit.error_message = why.message();
  }
  const Status status = store_.Update(edit);
  order_.reset();
  ++counters_[state];
  live_.erase(edit.id);
  Changed();
  return status;
}

}  // namespace kontext::serve
