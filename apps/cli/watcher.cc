#include "cli/watcher.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cli/events.h"
#include "cli/outputs.h"

namespace kontext::cli {
namespace {

const char* StageName(Stage stage) {
  switch (stage) {
    case Stage::kPrompt:
      return "reading the prompt";
    case Stage::kReferences:
      return "looking at the picture";
    case Stage::kSteps:
      return "drawing";
    case Stage::kDecode:
      return "decoding";
    case Stage::kDone:
      return "done";
  }
  return "";
}

std::string Duration(double seconds) {
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  if (seconds < 90 * 60) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace

WatcherOptions Silent(bool json) {
  WatcherOptions options;
  options.json = json;
  options.quiet = true;
  options.save = false;
  return options;
}

Watcher::Watcher(const WatcherOptions& options)
    : options_(options), terminal_(isatty(STDERR_FILENO) != 0 && !options.json && !options.quiet) {}

bool Watcher::Cancelled() { return interrupt_.interrupted(); }

void Watcher::ClearLine() {
  if (line_shown_) std::fputs("\r\033[K", stderr);
  line_shown_ = false;
}

void Watcher::ShowLine(const std::string& text) {
  if (options_.quiet || options_.json || text == last_line_) return;
  last_line_ = text;
  if (terminal_) {
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    line_shown_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

void Watcher::OnProgress(const Progress& p) {
  if (p.preview != nullptr && !options_.preview.empty()) {
    const Status saved = SavePicture(options_.preview, {*p.preview, 0, "", 0});
    if (!saved.ok()) {
      OnNote("no more previews: " + saved.message());
      options_.preview.clear();
    }
  }
  if (options_.json) {
    Json event = {{"event", p.step > 0 && p.stage == Stage::kSteps ? "step" : "stage"},
                  {"stage", StageName(p.stage)},
                  {"picture", p.picture + 1},
                  {"pictures", p.pictures},
                  {"step", p.step},
                  {"steps", p.steps},
                  {"seconds_per_step", p.seconds_per_step},
                  {"seconds_left", p.seconds_left}};
    PrintEvent(event);
    return;
  }
  if (p.stage == Stage::kDone) {
    ClearLine();
    return;
  }
  std::string line = StageName(p.stage);
  if (p.pictures > 1) line += fmt::format(" {} of {}", p.picture + 1, p.pictures);
  if (p.stage == Stage::kSteps && p.step > 0) {
    line += fmt::format(": step {} of {}, {:.2f} s a step, {} left", p.step, p.steps,
                        p.seconds_per_step, Duration(p.seconds_left));
  }
  ShowLine(line);
}

void Watcher::OnNote(const std::string& note) {
  if (options_.json) {
    PrintEvent({{"event", "note"}, {"text", note}});
  } else if (!options_.quiet) {
    ClearLine();
    std::fprintf(stderr, "note: %s\n", note.c_str());
  }
}

void Watcher::OnPicture(const Edited& edited) {
  if (!options_.save) return;
  const std::string path =
      OutputPath(options_.output, options_.first_input, edited.seed, options_.count);
  const Result<std::string> saved = SaveSomewhere(path, edited);
  ClearLine();
  if (!saved.ok()) {
    if (save_status_.ok()) save_status_ = saved.status();
    return;
  }
  if (options_.json) {
    PrintEvent({{"event", "picture"},
                {"path", *saved},
                {"seed", edited.seed},
                {"width", edited.picture.width},
                {"height", edited.picture.height},
                {"seconds", edited.seconds},
                {"recipe", Json::parse(edited.recipe)}});
  } else if (options_.quiet) {
    std::fprintf(stdout, "%s\n", saved->c_str());
  } else {
    std::fprintf(stdout, "%s  (seed %llu, %.1f s)\n", saved->c_str(),
                 static_cast<unsigned long long>(edited.seed), edited.seconds);
  }
  std::fflush(stdout);
}

void Watcher::Error(const Status& status) {
  ClearLine();
  if (options_.json) PrintEvent({{"event", "error"}, {"message", status.message()}});
}

}  // namespace kontext::cli
