// Queue: accepted edits, one engine thread that works them off, and whoever watches.
#ifndef KONTEXT_SERVE_QUEUE_H_
#define KONTEXT_SERVE_QUEUE_H_

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "kontext/serve.h"
#include "serve/projects.h"
#include "serve/store.h"

namespace kontext::serve {

// What a client asks for: the fields of the native API, checked, and its pictures' bytes.
struct Draft {
  Json fields = Json::object();
  std::vector<std::string> pictures;
  std::string mask;  // bytes, or empty
  std::string owner, idempotency_key, body_hash;
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
  Queue(const ServeOptions& options, Store& store, Engine& engine);
  ~Queue();  // the edit that runs is kept at its last step
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void Stop();  // ends all waiting, and the run within a block

  enum class Refusal { kNone, kBusy, kConflict, kBad };
  // Stored when it returns kNone; `message` says why otherwise.
  Refusal Submit(const Draft& draft, StoredEdit& edit, std::string& message);

  Result<std::optional<StoredEdit>> Get(const std::string& id) { return store_.Get(id); }
  Status Cancel(const std::string& id);
  Live Look(const StoredEdit& edit);
  // Returns when the version is not `version` any more, or after `seconds`.
  void WaitForChange(const std::string& id, int64_t version, double seconds);
  // Waits until the edit has ended or `gone` says true.
  Result<StoredEdit> WaitForEnd(const std::string& id);

  Store& store() { return store_; }
  Engine& engine() { return engine_; }
  Projects& projects() { return projects_; }
  const ServeOptions& options() const { return options_; }
  Json Counters();
  std::string running();

 private:
  class Listener;
  void Work();
  void RunOne(StoredEdit edit);
  Status Finish(StoredEdit& edit, const char* state, const Status& why);
  int64_t Version(const std::string& id) const;  // with mutex_ held; 0 once it has ended

  const ServeOptions& options_;
  Store& store_;
  Engine& engine_;
  Projects projects_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Live> live_;
  std::string running_;
  bool cancel_running_ = false;
  std::atomic<bool> stop_ = false;
  std::map<std::string, int64_t> counters_;
  double seconds_per_step_ = 0;  // a running mean over finished steps
  std::thread worker_;
};

// Turns a stored edit into what the engine takes.
Result<EditRequest> RequestOf(const StoredEdit& edit, Store& store);
double Now();  // seconds since 1970

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_QUEUE_H_
