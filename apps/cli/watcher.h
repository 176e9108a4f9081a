// Watcher: shows a run to the user (one progress line on a terminal, plain lines in a pipe, JSON
// events with --json), saves each picture as it is done, and listens for Ctrl-C.
#ifndef KONTEXT_APPS_CLI_WATCHER_H_
#define KONTEXT_APPS_CLI_WATCHER_H_

#include <string>
#include <vector>

#include "cli/interrupt.h"
#include "kontext/kontext.h"

namespace kontext::cli {

struct WatcherOptions {
  bool json = false;   // one JSON object a line on stdout
  bool quiet = false;  // only the paths of the pictures
  int verbose = 0;
  std::string output;  // -o
  std::string first_input;
  std::string preview;  // --preview FILE, rewritten after every step
  int count = 1;
  bool save = true;  // the pictures
};
// Of a run whose pictures are only compared.
WatcherOptions Silent(bool json);

class Watcher : public EditListener {
 public:
  explicit Watcher(const WatcherOptions& options);

  void OnProgress(const Progress& progress) override;
  void OnNote(const std::string& note) override;
  void OnPicture(const Edited& edited) override;
  bool Cancelled() override;

  // The first failure to save; ok when every picture found a place.
  const Status& save_status() const { return save_status_; }
  void Error(const Status& status);

 private:
  void ClearLine();
  void ShowLine(const std::string& text);

  InterruptWatch interrupt_;
  WatcherOptions options_;
  bool terminal_;
  bool line_shown_ = false;
  std::string last_line_;
  Status save_status_;
};

}  // namespace kontext::cli

#endif  // KONTEXT_APPS_CLI_WATCHER_H_
