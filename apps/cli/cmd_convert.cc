// kontext convert: weight files into the packed form that loads without work.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/events.h"
#include "cli/interrupt.h"
#include "kontext/convert.h"

namespace kontext::cli {
namespace {

class Display : public ConvertListener {
 public:
  Display(bool json, bool quiet)
      : json_(json), quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0 && !json && !quiet) {}

  void OnProgress(const ConvertProgress& p) override {
    if (json_) {
      PrintEvent({{"event", "progress"},
                  {"part", p.part},
                  {"bytes_done", p.bytes_done},
                  {"bytes_total", p.bytes_total},
                  {"seconds_left", p.seconds_left}});
    } else if (terminal_) {
      std::fprintf(stderr, "\r\033[K%s: %.1f of %.1f MB, %.0f s left", p.part.c_str(),
                   static_cast<double>(p.bytes_done) * 1e-6,
                   static_cast<double>(p.bytes_total) * 1e-6, p.seconds_left);
      std::fflush(stderr);
    } else if (!quiet_ && p.part != part_) {
      std::fprintf(stderr, "%s\n", p.part.c_str());
    }
    part_ = p.part;
  }
  void OnNote(const std::string& note) override {
    if (json_) return PrintEvent({{"event", "note"}, {"text", note}});
    EndLine();
    if (!quiet_) std::fprintf(stderr, "note: %s\n", note.c_str());
  }
  bool Cancelled() override { return interrupt_.interrupted(); }

  void EndLine() const {
    if (terminal_) std::fputs("\r\033[K", stderr);
  }

 private:
  const InterruptWatch interrupt_;
  const bool json_, quiet_, terminal_;
  std::string part_;
};

struct ConvertFlags {
  ConvertOptions options;
  bool verify = false, json = false, quiet = false;
};

int Verify(const ConvertFlags& f, Display& display) {
  const Result<VerifyReport> done = VerifyPacked(f.options.in, &display);
  display.EndLine();
  if (!done.ok()) {
    if (f.json) PrintEvent({{"event", "error"}, {"message", done.message()}});
    return Report(done.status());
  }
  if (f.json) {
    PrintEvent({{"event", "verified"}, {"tensors", done->tensors}, {"bytes", done->bytes}});
  } else if (!f.quiet) {
    std::printf("%s: all %lld tensors have their checksums\n", f.options.in.c_str(),
                static_cast<long long>(done->tensors));
  }
  return 0;
}

int Run(const ConvertFlags& f) {
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error like a full disk
  Display display(f.json, f.quiet);
  if (f.verify) return Verify(f, display);
  const Result<ConvertReport> done = Convert(f.options, &display);
  display.EndLine();
  if (!done.ok()) {
    if (f.json) PrintEvent({{"event", "error"}, {"message", done.message()}});
    return Report(done.status());
  }
  if (f.json) {
    PrintEvent({{"event", "done"},
                {"path", f.options.out},
                {"tensors", done->tensors},
                {"bytes_in", done->bytes_in},
                {"bytes_out", done->bytes_out},
                {"bytes_resumed", done->bytes_resumed},
                {"seconds", done->seconds}});
  } else if (f.quiet) {
    std::printf("%s\n", f.options.out.c_str());
  } else {
    std::printf("%s  (%lld tensors, %.1f MB from %.1f MB, %.1f s)\n", f.options.out.c_str(),
                static_cast<long long>(done->tensors), static_cast<double>(done->bytes_out) * 1e-6,
                static_cast<double>(done->bytes_in) * 1e-6, done->seconds);
  }
  return 0;
}

}  // namespace

void AddConvert(CLI::App& app, Action& action) {
  auto flags = std::make_shared<ConvertFlags>();
  CLI::App* c = app.add_subcommand(
      "convert", "Pack weights for this engine: kontext convert IN OUT.safetensors --to int8");
  c->add_option("in", flags->options.in, "Weight file, folder with shards, or model directory")
      ->required();
  c->add_option("out", flags->options.out, "NAME.safetensors, or a new folder for a directory");
  static const std::map<std::string, Packing> kPackings = {{"bf16", Packing::kBf16},
                                                           {"int8", Packing::kInt8}};
  c->add_option("--to", flags->options.packing, "bf16 or int8 (default)")
      ->transform(CLI::CheckedTransformer(kPackings, CLI::ignore_case));
  c->add_option("--threads", flags->options.threads, "Threads (default: all)");
  c->add_flag("--verify", flags->verify,
              "Compare the tensors of the packed IN with their checksums; writes nothing");
  c->add_flag("--json", flags->json, "Events on stdout, one JSON object a line");
  c->add_flag("-q,--quiet", flags->quiet, "Print only the path of the result");
  c->callback([flags, &action] { action = [flags] { return Run(*flags); }; });
}

}  // namespace kontext::cli
