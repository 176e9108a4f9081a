// The engine's thread: one edit after the other, from its last step to the state it ends in.
#include <chrono>

#include "base/guard.h"
#include "base/status.h"
#include "serve/draft.h"
#include "serve/filter.h"
#include "serve/inputs.h"
#include "serve/queue.h"

namespace kontext::serve {
namespace {

constexpr auto kTryAgain = std::chrono::seconds(1);
constexpr size_t kMostKinds = 1000;

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
    if (p.seconds_per_step > 0) queue_.Measured(KindOf(edit_), p.seconds_per_step);
    if (p.step > 0 && p.stage == Stage::kSteps) ++queue_.steps_;
    queue_.Changed();
  }
  void OnNote(const std::string& note) override { edit_.notes.push_back(note); }
  bool WantsCheckpoints() override { return true; }
  void OnCheckpoint(const ResumePoint& c) override {
    Keep(queue_.Persist([&] { return queue_.store_.SaveCheckpoint(edit_.id, c); }));
  }
  void OnPicture(const Edited& edited) override {
    const Result<std::string> png = EncodePictureBytes(edited, ".png");
    if (!png.ok()) return Keep(png.status());
    // Before it is stored anywhere: what is stored can be fetched, and is not judged again after a
    // restart.
    Keep(RunFilter(
        queue_.options_.filter_after, FilterInput(edit_, "after", *png, {}),
        [this] { return Cancelled(); }, edit_));
    const bool held = queue_.options_.review;
    if (status_.ok() && !held)
      Keep(queue_.Persist([&] { return queue_.projects_.Keep(edit_, request_, edited); }));
    if (!status_.ok()) return;
    std::vector<NewPicture> pictures = {NewPicture(*png)};
    std::string latents;
    if (held && edit_.request.contains("project") && !edited.latents.data.empty()) {
      latents = BytesOf(edited.latents);
      pictures.emplace_back(latents);
    }
    const StoredImage image{next_++,
                            pictures.front().hash,
                            edited.seed,
                            edited.picture.width,
                            edited.picture.height,
                            edited.seconds,
                            pictures.size() > 1 ? pictures.back().hash : ""};
    Keep(queue_.Persist([&] { return queue_.store_.AddImage(edit_.id, image, pictures, held); }));
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

// With mutex_ held.
void Queue::Measured(const std::string& kind, double seconds_per_step) {
  if (step_seconds_.size() == kMostKinds) step_seconds_.clear();
  step_seconds_[kind] = seconds_per_step_ = seconds_per_step;
}

// With mutex_ held. What holds everything up is told once, not every second.
void Queue::Trouble(const std::string& text) {
  if (text == trouble_) return;
  trouble_ = text;
  const auto live = live_.find(running_);
  if (!text.empty() && live != live_.end() && live->second.progress.is_object()) {
    live->second.progress["stage"] = "disk";
    ++live->second.version;
  }
  Changed();
  if (options_.log)
    options_.log(Json({{"problem", text.empty() ? "over: the store is written again" : text}})
                     .dump(-1, ' ', true, Json::error_handler_t::replace));
}

Status Queue::Persist(const std::function<Status()>& write) {
  while (true) {
    Status status = write();
    const bool full = status.code() == Code::kNoSpace;
    std::unique_lock lock(mutex_);
    Trouble(full ? status.message() : "");
    if (!full) return status;
    const auto end = [&] { return stop_ || cancel_running_; };
    if (changed_.wait_for(lock, kTryAgain, end))
      return Status(Code::kCancelled, "ended while the store could not be written");
  }
}

void Queue::Work() {
  while (!stop_) {
    std::optional<StoredEdit> next;
    {
      std::unique_lock lock(mutex_);
      auto waiting = store_.Waiting();
      if (!waiting.ok() || waiting->empty()) {
        Trouble(waiting.message());  // with nothing to do nothing is held up
        changed_.wait_for(lock, kTryAgain);
        continue;
      }
      next = std::move(waiting->front());
      running_ = next->id;
      cancel_running_ = false;
      next->state = "running";
      if (next->started == 0) next->started = Now();
      order_.reset();
      if (const Status begun = store_.Update(*next); !begun.ok()) {
        running_.clear();
        Trouble(begun.message());
        changed_.wait_for(lock, kTryAgain);
        continue;
      }
      Trouble("");
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

Status Queue::JudgeBefore(StoredEdit& edit) {
  if (options_.filter_before.empty()) return Status();
  std::vector<std::string> inputs;
  for (size_t i = 0; i < CountInputs(edit); ++i) {
    KX_ASSIGN_OR_RETURN(inputs.emplace_back(), InputOf(edit, i, store_, projects_));
  }
  Status let = RunFilter(
      options_.filter_before, FilterInput(edit, "before", "", inputs),
      [this] { return RunShouldEnd(); }, edit);
  if (edit.error_code == "moderated") edit.error_code = kRequestModerated;
  return let;
}

void Queue::RunOne(StoredEdit edit) {
  edit.notes = Json::array();  // of a run that was cut short: they come again
  const auto run = [&]() -> Status {
    KX_RETURN_IF_ERROR(JudgeBefore(edit));
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
  const Status status = Guard(run);
  std::unique_lock lock(mutex_);
  while (true) {
    const Status settled = Settle(edit, status);
    Trouble(settled.message());
    if (settled.code() != Code::kNoSpace || stop_) break;
    changed_.wait_for(lock, kTryAgain);
  }
  running_.clear();
  if (options_.keep_bytes_per_key > 0)
    (void)store_.TrimOwner(edit.owner, options_.keep_bytes_per_key);
  (void)store_.Trim(options_.keep_bytes);
  Changed();
}

// With mutex_ held: the state that a run which ended with `run` leaves its edit in.
Status Queue::Settle(StoredEdit& edit, const Status& run) {
  if (stop_ && run.code() == Code::kCancelled && !cancel_running_) {
    edit.state = "queued";  // goes on from its last step when the server is back
    order_.reset();
    return store_.Update(edit);
  }
  if (edit.error_code == "moderated" || edit.error_code == kRequestModerated)
    return Finish(edit, "moderated", Status(Code::kUsage, edit.error_message));
  if (!run.ok()) return Finish(edit, run.code() == Code::kCancelled ? "cancelled" : "failed", run);
  KX_ASSIGN_OR_RETURN(const auto stored, store_.Get(edit.id));
  if (!stored) return Finish(edit, "failed", Internal("the edit is gone"));
  if (stored->held.empty()) return Finish(edit, "ready", Status());
  edit.state = "review";
  KX_RETURN_IF_ERROR(store_.Update(edit));
  ++live_[edit.id].version;
  Changed();
  return Status();
}

// With mutex_ held.
Status Queue::Finish(StoredEdit& edit, const char* state, const Status& why) {
  edit.state = state;
  edit.finished = Now();
  if (!why.ok()) {
    if (edit.error_code.empty()) edit.error_code = state;
    edit.error_message = why.message();
  }
  KX_RETURN_IF_ERROR(store_.Update(edit));
  order_.reset();
  ++counters_[state];
  live_.erase(edit.id);
  Changed();
  return Status();
}

}  // namespace kontext::serve
