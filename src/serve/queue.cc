#include "serve/queue.h"

#include <chrono>
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
    if (p.preview != nullptr && p.preview->width > 0) {
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
    queue_.changed_.notify_all();
  }
  void OnNote(const std::string& note) override { edit_.notes.push_back(note); }
  bool WantsCheckpoints() override { return true; }
  void OnCheckpoint(const ResumePoint& c) override {
    Keep(queue_.store_.SaveCheckpoint(edit_.id, c));
  }
  void OnPicture(const Edited& edited) override {
    Keep(queue_.projects_.Keep(edit_, request_, edited));
    if (!status_.ok()) return;
    const Result<std::string> png = EncodePictureBytes(edited, ".png");
    if (!png.ok()) return Keep(png.status());
    const Result<std::string> hash = queue_.store_.PutPicture(*png);
    if (!hash.ok()) return Keep(hash.status());
    Keep(queue_.store_.AddImage(edit_.id, {next_++, *hash, edited.seed, edited.picture.width,
                                           edited.picture.height, edited.seconds}));
  }
  bool Cancelled() override {
    if (queue_.stop_ || !status_.ok()) return true;
    const std::lock_guard lock(queue_.mutex_);
    return queue_.cancel_running_;
  }
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

Queue::Queue(const ServeOptions& options, Store& store, Engine& engine)
    : options_(options), store_(store), engine_(engine), projects_(options.folder), worker_([this] {
        Work();
      }) {}

Queue::~Queue() {
  Stop();
  worker_.join();
}

void Queue::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
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
  const auto waiting = store_.Waiting();
  if (!waiting.ok()) return bad(waiting.status());
  int own = 0;
  for (const StoredEdit& e : *waiting) own += e.owner == draft.owner ? 1 : 0;
  if (std::ssize(*waiting) >= options_.max_waiting || own >= options_.max_waiting_per_key) {
    message = fmt::format("{} edits are waiting, {} of this key; at most {} and {}",
                          waiting->size(), own, options_.max_waiting, options_.max_waiting_per_key);
    ++counters_["refused"];
    return Refusal::kBusy;
  }
  edit = StoredEdit();
  edit.id = RandomHex(32);
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
  if (const Status status = store_.Add(edit); !status.ok()) return bad(status);
  ++counters_["accepted"];
  changed_.notify_all();
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
  if (!edit || edit->state != "queued") return Status();
  return Finish(*edit, "cancelled", Status(Code::kCancelled, "cancelled while it waited"));
}

Live Queue::Look(const StoredEdit& edit) {
  const std::lock_guard lock(mutex_);
  const auto own = live_.find(edit.id);
  Live live = own == live_.end() ? Live() : own->second;
  if (edit.state != "queued") return live;
  live.position = running_.empty() ? 0 : 1;
  const auto current = live_.find(running_);
  live.predicted = seconds_per_step_ * edit.steps;
  if (current != live_.end()) live.predicted += current->second.predicted;
  const auto waiting = store_.Waiting();
  if (!waiting.ok()) return live;
  for (const StoredEdit& other : *waiting) {
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

Result<StoredEdit> Queue::WaitForEnd(const std::string& id) {
  while (true) {
    KX_ASSIGN_OR_RETURN(const std::optional<StoredEdit> edit, store_.Get(id));
    if (!edit) return BadInput("the edit {} was deleted", id);
    if (edit->finished > 0) return *edit;
    if (stop_) return Status(Code::kCancelled, "the server is shutting down; the edit is kept");
    WaitForChange(id, Look(*edit).version, 1);
  }
}

Json Queue::Counters() {
  const std::lock_guard lock(mutex_);
  Json json = counters_;
  const auto waiting = store_.Waiting();
  json["waiting"] = waiting.ok() ? std::ssize(*waiting) : -1;
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
      if (!store_.Update(*next).ok()) {
        running_.clear();
        changed_.wait_for(lock, std::chrono::seconds(1));
        continue;
      }
      ++live_[next->id].version;
      live_[next->id].position = -1;
      changed_.notify_all();
    }
    RunOne(std::move(*next));
  }
}

void Queue::RunOne(StoredEdit edit) {
  edit.notes = Json::array();  // of a run that was cut short: they come again
  const auto run = [&]() -> Status {
    KX_RETURN_IF_ERROR(RunFilter(options_.filter_before, FilterInput(edit, "before", ""), edit));
    KX_ASSIGN_OR_RETURN(EditRequest request, RequestOf(edit, store_));
    KX_ASSIGN_OR_RETURN(request.resume, store_.LoadCheckpoint(edit.id));
    const int first = request.resume ? request.resume->picture : 0;
    if (first >= request.count) return Status();
    KX_RETURN_IF_ERROR(projects_.Begin(edit, request));
    Listener listener(*this, edit, request, first);
    const auto edits = engine_.Edit(request, &listener);
    KX_RETURN_IF_ERROR(listener.status());
    KX_RETURN_IF_ERROR(edits.status());
    KX_ASSIGN_OR_RETURN(const auto whole, store_.Get(edit.id));
    for (size_t i = 0; whole && !options_.filter_after.empty() && i < whole->images.size(); ++i) {
      KX_ASSIGN_OR_RETURN(const std::string png, store_.GetPicture(whole->images[i].hash));
      KX_RETURN_IF_ERROR(RunFilter(options_.filter_after, FilterInput(edit, "after", png), edit));
    }
    return Status();
  };
  const Status status = run();
  const std::lock_guard lock(mutex_);
  running_.clear();
  if (stop_ && status.code() == Code::kCancelled && !cancel_running_) {
    edit.state = "queued";  // goes on from its last step when the server is back
    (void)store_.Update(edit);
  } else if (edit.error_code == "moderated") {
    (void)Finish(edit, "moderated", Status(Code::kUsage, edit.error_message));
  } else if (status.ok()) {
    (void)Finish(edit, "ready", Status());
  } else {
    (void)Finish(edit, status.code() == Code::kCancelled ? "cancelled" : "failed", status);
  }
  (void)store_.Trim(options_.keep_bytes);
  changed_.notify_all();
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
  ++counters_[state];
  live_.erase(edit.id);
  changed_.notify_all();
  return status;
}

}  // namespace kontext::serve
