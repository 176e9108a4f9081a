// Queue: accepted edits, one engine thread that works them off, and whoever watches.
#ifndef KONTEXT_SERVE_QUEUE_H_
#define KONTEXT_SERVE_QUEUE_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kontext/serve.h"
#include "serve/projects.h"
#include "serve/store.h"

namespace kontext::serve {

// What a client asks for: the fields of the native API, checked, and its pictures' bytes.
struct Draft {
  Json fields = Json::object();
  std::vector<std::string> pictures;
  std::string mask;                      // bytes, or empty
  std::vector<std::string> attachments;  // bytes kept as long as the edit: "attached" has hashes
  std::string id;                        // chosen by the client: 32 hexadecimal digits; or empty
  std::string owner, idempotency_key, body_hash;
  std::optional<Webhook> webhook;
};

// What is known of an edit that waits or runs, beside the store.
struct Live {
  int64_t version = 0;  // grows with every change
  int position = -1;    // edits in front; -1: not waiting
  double predicted = 0;
  Json progress;        // null before it runs
  std::string preview;  // PNG bytes, or empty
};

class Queue {
 public:
  // `secret` is the server's own, for signatures.
  Queue(const ServeOptions& options, Store& store, Engine& engine, std::string secret);
  ~Queue();  // the edit that runs is kept at its last step
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void Stop();  // ends all waiting, and the run within a block

  enum class Refusal { kNone, kBusy, kConflict, kStore };
  // Stored when it returns kNone; `why` says why not otherwise.
  Refusal Submit(const Draft& draft, StoredEdit& edit, Status& why);

  Result<std::optional<StoredEdit>> Get(const std::string& id) { return store_.Get(id); }
  Status Cancel(const std::string& id);
  // A reviewer's word on an edit that waits for one (review.cc). kUsage: it does not, or not any
  // more.
  Result<StoredEdit> Decide(const std::string& id, Decision decision);
  Live Look(const StoredEdit& edit);
  // Returns when the version is not `version` any more, or after `seconds`.
  void WaitForChange(const std::string& id, int64_t version, double seconds);
  // Returns when anything has changed since it returned `seen`, or after `seconds`.
  int64_t WaitForAnyChange(int64_t seen, double seconds);
  bool stopping() const { return stop_; }
  // Waits until the edit has ended; no longer than its client, of whom `left` tells, and for its
  // review some minutes only: nobody knows how long that takes.
  Result<StoredEdit> WaitForEnd(const std::string& id, const std::function<bool()>& left);
  // A preview shows a picture before a filter or a reviewer has judged it.
  bool shows_previews() const { return options_.filter_after.empty() && !options_.review; }

  Store& store() { return store_; }
  Engine& engine() { return engine_; }
  Projects& projects() { return projects_; }
  const ServeOptions& options() const { return options_; }
  const std::string& secret() const { return secret_; }
  struct Figures {
    std::map<std::string, int64_t> edits;  // "accepted", "refused", and by the state they ended in
    int64_t steps = 0, waiting = 0, running = 0, review = 0;
    double seconds_per_step = 0, oldest_waiting_seconds = 0;
    bool stored = true;  // false: the store can't be written
  };
  Figures Tally();
  std::string running();
  std::string trouble();  // why nothing can be stored at the moment; or empty

 private:
  class Listener;
  void Work();
  void RunOne(StoredEdit edit);
  Status JudgeBefore(StoredEdit& edit);  // --filter-before
  bool RunShouldEnd();                   // cancelled, or the server stops
  Status Settle(StoredEdit& edit, const Status& run);
  Status Finish(StoredEdit& edit, const char* state, const Status& why);
  // What the running edit has come to, written as often as it takes: a full disk loses nothing.
  // kCancelled if the run shall end meanwhile. Without mutex_.
  Status Persist(const std::function<Status()>& write);
  void Trouble(const std::string& text);  // empty: it is over
  void Measured(const std::string& kind, double seconds_per_step);
  double Predicted(const std::string& kind, int steps) const;  // seconds; with mutex_ held
  void AddToProject(StoredEdit& edit);
  void Changed();  // with mutex_ held
  // With mutex_ held: who waits, in order. Hundreds look at their place once a second, so it is
  // read from the store only after edits have begun or ceased to wait (order_.reset()).
  struct Place {
    std::string id, kind;
    int steps;
    double created;
  };
  const std::vector<Place>& Order();
  int64_t Version(const std::string& id) const;  // with mutex_ held; 0 once it has ended

  const ServeOptions& options_;
  Store& store_;
  Engine& engine_;
  const std::string secret_;
  Projects projects_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t changes_ = 0;
  std::map<std::string, Live> live_;
  std::optional<std::vector<Place>> order_;
  std::string running_;
  bool cancel_running_ = false;
  std::atomic<bool> stop_ = false;
  std::mutex deciding_;                      // taken before mutex_
  std::map<std::string, int64_t> counters_;  // of edits
  int64_t steps_ = 0;
  std::map<std::string, double> step_seconds_;  // of each kind of edit, as last measured
  double seconds_per_step_ = 0;                 // of whatever was measured last
  std::string trouble_;
  std::thread worker_;
};

// Edits of one kind take about the same time a step.
std::string KindOf(const StoredEdit& edit);
// Turns a stored edit into what the engine takes.
Result<EditRequest> RequestOf(const StoredEdit& edit, Store& store);
// What clients are told of an edit that waits for a reviewer: it runs still, in a stage of its own.
Json ReviewProgress(const StoredEdit& edit);
// Latents as bytes of the store, and back.
std::string BytesOf(const Latents& latents);
Latents LatentsOf(const std::string& bytes);
double Now();  // seconds since 1970

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_QUEUE_H_
