// kontext serve: the engine as a server.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "cli/commands.h"
#include "kontext/serve.h"

namespace kontext::cli {
namespace {

std::atomic<bool> stop = false;
extern "C" void OnStop(int) { stop = true; }

struct ServeFlags {
  EngineFlags engine;
  ServeOptions options;
  std::string keep, keep_per_key;
};

std::string HomeFolder() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != '\0')
    return std::string(data) + "/kontext/serve";
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "." : home) + "/.local/share/kontext/serve";
}

int RunServe(ServeFlags& f) {
  const Result<EngineOptions> engine = Resolve(f.engine);
  if (!engine.ok()) return Report(engine.status());
  f.options.engine = *engine;
  if (f.options.folder.empty()) f.options.folder = HomeFolder();
  for (const auto& [text, option] : {std::pair(&f.keep, &f.options.keep_bytes),
                                     std::pair(&f.keep_per_key, &f.options.keep_bytes_per_key)}) {
    if (text->empty()) continue;
    const Result<int64_t> bytes = ParseBytes(*text);
    if (!bytes.ok()) return Report(bytes.status());
    *option = *bytes;
  }
  std::signal(SIGINT, OnStop);
  std::signal(SIGTERM, OnStop);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a bound of files' sizes (ulimit -f) is met like a full disk
  std::mutex mutex;
  f.options.log = [&mutex](const std::string& line) {
    const std::lock_guard lock(mutex);
    std::fprintf(stderr, "%s\n", line.c_str());
  };
  f.options.ready = [](const std::string& address) {
    std::printf("kontext serves at %s\n", address.c_str());
    std::fflush(stdout);
  };
  return Report(Serve(f.options, stop));
}

}  // namespace

void AddServe(CLI::App& app, Action& action) {
  CLI::App* c = app.add_subcommand(
      "serve", "Serve the engine: an API of its own and those that other programs speak");
  auto flags = std::make_shared<ServeFlags>();
  ServeOptions& o = flags->options;
  AddEngineFlags(*c, flags->engine);
  c->add_option("--host", o.host, "Address to listen at; any but this machine's own needs --keys");
  c->add_option("--port", o.port, "0 takes a free one")->check(CLI::Range(0, 65535));
  c->add_option("--folder", o.folder,
                "Where edits are kept (default: ~/.local/share/kontext/serve)");
  c->add_option("--keys", o.keys, "File with one key a line; then every request needs one");
  c->add_option("--host-name", o.host_names, "Answer requests for this name too");
  c->add_option("--certificate", o.certificate, "PEM file: serve over TLS");
  c->add_option("--private-key", o.private_key, "PEM file of the certificate's key");
  c->add_option("--max-waiting", o.max_waiting, "Edits that may wait, of all keys")
      ->check(CLI::Range(1, 100000));
  c->add_option("--max-waiting-per-key", o.max_waiting_per_key, "Edits of one key that may wait")
      ->check(CLI::Range(1, 100000));
  c->add_option("--max-body", o.max_body_bytes, "Bytes of a request")
      ->check(CLI::Range(int64_t{1} << 10, int64_t{1} << 31));
  c->add_option("--keep", flags->keep, "Of pictures, as 10GiB; the oldest ended edits go first");
  c->add_option("--keep-per-key", flags->keep_per_key,
                "Of pictures of one key's edits (default: no bound of its own)");
  c->add_option("--filter-before", o.filter_before, "Program or URL that sees each prompt first");
  c->add_option("--filter-after", o.filter_after, "Program or URL that sees each picture first");
  c->add_flag("--review", o.review, "Hold each picture until somebody approves it, at /review");
  c->add_option("--reviewer-keys", o.reviewer_keys,
                "File with the keys of those who may review; needed with --review and --keys");
  c->add_option("--review-wait", o.review_wait_seconds,
                "Seconds that OpenAI's and A1111's requests wait for a reviewer")
      ->check(CLI::Range(0, 86400));
  c->add_option("--origin", o.origins,
                "Pages of this origin, as https://app.example, may use the APIs (CORS)");
  c->add_flag("--log-prompts", o.log_prompts, "Write the prompts of accepted edits to the log too");
  c->add_option("--webhook-host", o.webhook_hosts,
                "Host that webhooks may go to; * and *.NAME mean public addresses only");
  c->add_option("--image-host", o.image_hosts,
                "Host that pictures may be fetched from; * and *.NAME mean public addresses only");
  c->callback([flags, &action] { action = [flags] { return RunServe(*flags); }; });
}

}  // namespace kontext::cli
