// kontext doctor: which files of a folder make a model, and what is wrong with the others.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace kontext::cli {
namespace {

using Json = nlohmann::ordered_json;

void PrintJson(const Diagnosis& d) {
  Json j = {{"folder", d.folder},   {"files", Json::array()}, {"notes", d.notes},
            {"missing", d.missing}, {"command", d.command},   {"command_line", d.command_line}};
  for (const Diagnosis::File& f : d.files) {
    j["files"].push_back(
        {{"path", f.path}, {"what", f.what}, {"usable", f.usable}, {"problems", f.problems}});
  }
  std::printf("%s\n", j.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

void Print(const Diagnosis& d) {
  std::printf("%s: %zu weight files\n", d.folder.c_str(), d.files.size());
  for (const Diagnosis::File& f : d.files) {
    const char* state = !f.usable ? "no " : f.problems.empty() ? "ok " : "ok?";
    std::printf("\n%s %s\n    %s\n", state, f.path.c_str(), f.what.c_str());
    for (const std::string& problem : f.problems) std::printf("    ! %s\n", problem.c_str());
  }
  for (const std::string& note : d.notes) std::printf("\nnote: %s\n", note.c_str());
  for (const std::string& missing : d.missing) std::printf("\nmissing: %s\n", missing.c_str());
  if (!d.command_line.empty()) std::printf("\nThis runs:\n  %s\n", d.command_line.c_str());
}

}  // namespace

void AddDoctor(CLI::App& app, Action& action) {
  struct Flags {
    std::string folder = ".";
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "doctor", "Find the parts of a model in a folder, and say what is missing or wrong");
  c->add_option("folder", flags->folder,
                "ComfyUI's models folder, Hugging Face's cache or a download folder (default: .)");
  c->add_flag("--json", flags->json, "One JSON object");
  c->callback([flags, &action] {
    action = [flags] {
      const Result<Diagnosis> found = Doctor(flags->folder);
      if (!found.ok()) return Report(found.status());
      if (flags->json) {
        PrintJson(*found);
      } else {
        Print(*found);
      }
      return found->command.empty() || !found->missing.empty() ? ExitCode(Code::kBadInput) : 0;
    };
  });
}

}  // namespace kontext::cli
