// kontext inspect: what a file or folder is.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace kontext::cli {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const Inspection& i) {
  Json j = {{"path", i.path},
            {"kind", i.kind},
            {"family", i.family},
            {"variant", i.variant},
            {"layout", i.layout},
            {"tensors", i.tensors},
            {"parameters", i.parameters},
            {"bytes", i.bytes},
            {"problems", i.problems}};
  j["dtypes"] = Json::array();
  for (const auto& row : i.dtypes) {
    j["dtypes"].push_back({{"dtype", row.dtype},
                           {"tensors", row.tensors},
                           {"parameters", row.parameters},
                           {"bytes", row.bytes}});
  }
  if (!i.sha256.empty()) {
    j["sha256"] = i.sha256;
    j["published"] = i.published;
  }
  if (!i.recipe.empty()) j["recipe"] = Json::parse(i.recipe, nullptr, /*allow_exceptions=*/false);
  j["parts"] = Json::array();
  for (const Inspection& part : i.parts) j["parts"].push_back(ToJson(part));
  return j;
}

void Print(const Inspection& i, const std::string& indent) {
  const auto line = [&](const char* what, const std::string& text) {
    if (!text.empty()) std::printf("%s%-11s%s\n", indent.c_str(), what, text.c_str());
  };
  std::printf("%s%s\n", indent.c_str(), i.path.c_str());
  line("kind", i.kind);
  line("family", i.family);
  line("variant", i.variant);
  line("layout", i.layout);
  if (i.tensors > 0)
    line("tensors", fmt::format("{}, {} parameters, {} bytes", i.tensors, i.parameters, i.bytes));
  for (const auto& row : i.dtypes) {
    line("", fmt::format("  {:8} {:6} tensors {:14} parameters {:14} bytes", row.dtype, row.tensors,
                         row.parameters, row.bytes));
  }
  line("sha256", i.sha256);
  line("", i.published.empty() ? "" : "  is that of " + i.published);
  line("recipe", i.recipe);
  for (const Inspection& part : i.parts) Print(part, indent + "  ");
  for (const std::string& problem : i.problems) line("problem", problem);
}

}  // namespace

void AddInspect(CLI::App& app, Action& action) {
  struct Flags {
    std::string path;
    bool json = false;
    InspectOptions options;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* c = app.add_subcommand(
      "inspect", "Say what a file or folder is: family, variant, dtypes, problems, recipe");
  c->add_option("path", flags->path, "Weight file, model directory or picture")->required();
  c->add_flag("--json", flags->json, "One JSON object");
  c->add_flag("--sha256", flags->options.sha256,
              "Compare with the published files (done anyway if the size is one of theirs)");
  c->callback([flags, &action] {
    action = [flags] {
      const Result<Inspection> found = Inspect(flags->path, flags->options);
      if (!found.ok()) return Report(found.status());
      if (flags->json) {
        std::printf("%s\n",
                    ToJson(*found).dump(2, ' ', false, Json::error_handler_t::replace).c_str());
      } else {
        Print(*found, "");
      }
      return found->problems.empty() ? 0 : ExitCode(Code::kBadInput);
    };
  });
}

}  // namespace kontext::cli
