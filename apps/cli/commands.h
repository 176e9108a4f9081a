// The subcommands of `kontext`. Each adds its options to the parser and returns an exit code when
// run.
#ifndef KONTEXT_APPS_CLI_COMMANDS_H_
#define KONTEXT_APPS_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "kontext/kontext.h"

namespace kontext::cli {

// What a chosen subcommand does; set by its callback, run after parsing.
using Action = std::function<int()>;

void AddEdit(CLI::App& app, Action& action);      // kontext edit
void AddGenerate(CLI::App& app, Action& action);  // kontext generate
void AddInspect(CLI::App& app, Action& action);   // kontext inspect
void AddDoctor(CLI::App& app, Action& action);    // kontext doctor
void AddConvert(CLI::App& app, Action& action);   // kontext convert
void AddFit(CLI::App& app, Action& action);       // kontext fit
void AddVerify(CLI::App& app, Action& action);    // kontext verify
void AddTree(CLI::App& app, Action& action);      // kontext tree
void AddBench(CLI::App& app, Action& action);     // kontext bench

void AddServe(CLI::App& app, Action& action);  // kontext serve

// Options every model-running command shares.
struct EngineFlags {
  EngineOptions engine;
  std::string memory_limit;  // "6GiB"
};
void AddEngineFlags(CLI::App& command, EngineFlags& flags);
void AddMode(CLI::App& command, Mode& mode);  // --mode
// The engine's options with the model found and sizes parsed.
Result<EngineOptions> Resolve(const EngineFlags& flags);

// 0, 1, 2, 3, 4 or 130, as product documents promise (docs/errors.md).
int ExitCode(Code code);
// Says `status` on stderr ("kontext: ...") and returns its exit code.
int Report(const Status& status);

// "6GiB", "500MB", "1000000" -> bytes.
Result<int64_t> ParseBytes(const std::string& text);
// "512x768" -> Size.
Result<Size> ParseSize(const std::string& text);

// The directory of the bundled mini model: $KONTEXT_MODEL, beside the program, in the install
// prefix or in the source tree; empty if it is nowhere.
std::string BundledModel();

}  // namespace kontext::cli

#endif  // KONTEXT_APPS_CLI_COMMANDS_H_
