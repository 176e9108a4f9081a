// kontext verify: runs the recipe stored in a picture again and compares.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/events.h"
#include "cli/watcher.h"
#include "kontext/recipe.h"

namespace kontext::cli {
namespace {

struct VerifyFlags {
  EngineFlags engine;
  std::string path;
  VerifyOptions options;
  bool json = false, quiet = false;
};

// One sentence: what came out, and why that is or is not enough.
std::string Verdict(const Verification& v) {
  const std::string near =
      v.comparison.equal ? "equal pixels" : fmt::format("PSNR {:.2f} dB", v.comparison.psnr_db);
  if (v.differences.empty()) {
    return near + (v.matches ? ""
                             : "; the same build, instruction set and threads: equal pixels "
                               "were due");
  }
  return fmt::format("{}; at least {:.0f} dB are due, as the runs differ ({})", near,
                     kSamePictureDb, fmt::join(v.differences, "; "));
}

int RunCommand(const VerifyFlags& f) {
  Watcher watcher(Silent(f.json));
  VerifyOptions options = f.options;
  const Result<EngineOptions> engine = Resolve(f.engine);
  if (!engine.ok()) return Report(engine.status());
  options.engine = *engine;
  const Result<Verification> v = Verify(f.path, options, &watcher);
  if (!v.ok()) {
    watcher.Error(v.status());
    return Report(v.status());
  }
  if (f.json) {
    PrintEvent({{"event", "verified"},
                {"path", f.path},
                {"matches", v->matches},
                {"equal", v->comparison.equal},
                {"psnr_db", NumberOrNull(v->comparison.psnr_db)},
                {"differences", v->differences}});
  } else if (!f.quiet) {
    std::printf("%s: %s: %s\n", f.path.c_str(), v->matches ? "matches" : "does not match",
                Verdict(*v).c_str());
  }
  return v->matches ? 0 : ExitCode(Code::kInternal);
}

}  // namespace

void AddVerify(CLI::App& app, Action& action) {
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App* c = app.add_subcommand(
      "verify", "Run the recipe stored in a picture again: does the same picture come out?");
  c->add_option("picture", flags->path, "A picture that kontext made")->required();
  c->add_option("-i,--input", flags->options.inputs,
                "Input picture, if it is no longer where the recipe says; repeat for further ones");
  c->add_option("--mask", flags->options.mask,
                "The mask, if it is no longer where the recipe says");
  c->add_flag("--json", flags->json, "Events on stdout, one JSON object a line");
  c->add_flag("-q,--quiet", flags->quiet, "Print nothing; the exit code says it");
  AddEngineFlags(*c, flags->engine);
  c->callback([flags, &action] { action = [flags] { return RunCommand(*flags); }; });
}

}  // namespace kontext::cli
