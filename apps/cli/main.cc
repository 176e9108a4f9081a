// kontext: the command. Parses, runs one subcommand, turns its Status into an exit code.
#include <cstdio>
#include <exception>

#include "cli/commands.h"
#include "cli/spinning.h"

int main(int argc, char** argv) {
  using namespace kontext::cli;
  SpinLess(argv);
  CLI::App app{
      "kontext edits pictures from plain-English instructions with FLUX.1 Kontext [dev], on this "
      "machine."};
  app.name("kontext");
  app.set_version_flag("--version", "kontext.cpp " + kontext::Version());
  app.require_subcommand(0, 1);  // none is answered below, after unknown words have been named
  app.footer(
      "\"kontext COMMAND --help\" explains a command. FLUX.1 [dev] models are licensed for "
      "non-commercial use.");
  Action action;
  AddEdit(app, action);
  AddGenerate(app, action);
  AddInspect(app, action);
  AddDoctor(app, action);
  AddConvert(app, action);
  AddFit(app, action);
  AddVerify(app, action);
  AddTree(app, action);
  AddBench(app, action);
  AddServe(app, action);
  try {
    app.parse(argc, argv);
    if (action) return action();
    std::fputs(app.help().c_str(), stderr);
    return ExitCode(kontext::Code::kUsage);
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    app.exit(e);
    return ExitCode(kontext::Code::kUsage);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "kontext: %s\n", e.what());
    return ExitCode(kontext::Code::kInternal);
  }
}
