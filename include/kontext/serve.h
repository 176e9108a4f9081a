// kontext serve: the engine as a server; docs/serve.md.
#ifndef KONTEXT_SERVE_H_
#define KONTEXT_SERVE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kontext/kontext.h"

namespace kontext {

struct ServeOptions {
  EngineOptions engine;
  std::string host = "127.0.0.1";
  int port = 7860;     // 0: a free one
  std::string folder;  // where edits, pictures and keys are kept
  // Files with one key a line; needed for any host but this machine's own. Kept as SHA-256 only.
  std::vector<std::string> keys;
  std::vector<std::string> host_names;   // Host headers that are answered beside localhost
  std::vector<std::string> origins;      // whose pages may use the APIs from a browser (CORS)
  std::string certificate, private_key;  // PEM files; both or none
  int max_waiting = 200, max_waiting_per_key = 24;
  int64_t max_body_bytes = int64_t{64} << 20;
  int64_t keep_bytes = int64_t{10} << 30;   // of pictures; the oldest ended edits go first
  int64_t keep_bytes_per_key = 0;           // of pictures of one key's edits; 0: only the above
  std::string filter_before, filter_after;  // programs or URLs; see docs/serve.md
  bool review = false;                      // hold each picture for a reviewer
  std::vector<std::string> reviewer_keys;   // files as `keys`; needed with both
  int review_wait_seconds = 600;            // of requests that are answered with the picture
  std::vector<std::string> webhook_hosts;   // that webhooks may go to; none: no webhooks
  std::vector<std::string> image_hosts;     // that pictures may be fetched from; none: none
  bool log_prompts = false;                 // of accepted edits
  std::function<void(const std::string& line)> log;       // one JSON object a line
  std::function<void(const std::string& address)> ready;  // when it listens
};

// Serves until `stop` is true. The edit that runs then is kept at its last step.
Status Serve(const ServeOptions& options, const std::atomic<bool>& stop);

}  // namespace kontext

#endif  // KONTEXT_SERVE_H_
