// kontext tree: shows, replays and exports a tree of edits, and applies a chain of it elsewhere.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/commands.h"
#include "cli/events.h"
#include "cli/outputs.h"
#include "cli/watcher.h"
#include "kontext/tree.h"

namespace kontext::cli {
namespace {

namespace fs = std::filesystem;

struct TreeFlags {
  EngineFlags engine;
  std::string file, output;
  std::vector<std::string> inputs;
  int64_t turn = 0;
  bool json = false;
};

void ShowTurn(const Turn& t, int depth) {
  const Json recipe = Json::parse(t.recipe, nullptr, false);
  const std::string prompt = recipe.is_object() ? recipe.value("prompt", "") : "";
  std::string line =
      fmt::format("{}{}  {}", std::string(static_cast<size_t>(2 * depth), ' '), t.id, Dump(t.name));
  if (!prompt.empty()) line += "  " + Dump(prompt);
  if (t.drift) {
    line += fmt::format("  drift {:.1f} dB, colour {:.2f}, sharpness {:.2f} over {:.0f} %",
                        t.drift->psnr_db, t.drift->colour_shift, t.drift->sharpness,
                        100 * t.drift->share);
  }
  std::printf("%s\n", line.c_str());
}

Json ToJson(const Turn& t) {
  Json json = {{"id", t.id},
               {"parent", t.parent},
               {"name", t.name},
               {"pixels_sha256", t.pixels_sha256},
               {"latents", t.has_latents}};
  json["recipe"] = Json::parse(t.recipe, nullptr, false);
  if (json["recipe"].is_discarded()) json["recipe"] = nullptr;
  if (t.drift) {
    json["drift"] = {{"share", t.drift->share},
                     {"psnr_db", NumberOrNull(t.drift->psnr_db)},
                     {"colour_shift", t.drift->colour_shift},
                     {"sharpness", t.drift->sharpness}};
  }
  return json;
}

Status Show(const TreeFlags& f, const Tree& tree) {
  const Result<std::vector<Turn>> turns = tree.Turns();
  if (!turns.ok()) return turns.status();
  if (f.json) {
    for (const Turn& t : *turns) PrintEvent(ToJson(t));
    return Status();
  }
  // Depth first; a stack, for a file may nest as deep as it likes.
  std::vector<std::pair<int64_t, int>> open = {{0, -1}};
  while (!open.empty()) {
    const auto [id, depth] = open.back();
    open.pop_back();
    const auto at =
        std::find_if(turns->begin(), turns->end(), [id = id](const Turn& t) { return t.id == id; });
    if (id != 0 && at != turns->end()) ShowTurn(*at, depth);
    for (auto t = turns->rbegin(); t != turns->rend(); ++t) {
      if (t->parent == id) open.emplace_back(t->id, depth + 1);
    }
  }
  return Status();
}

Result<Engine> OpenEngine(const TreeFlags& f) {
  const Result<EngineOptions> options = Resolve(f.engine);
  if (!options.ok()) return options.status();
  return Engine::Open(*options);
}

Status ReplayAll(const TreeFlags& f, const Tree& tree) {
  Result<Engine> engine = OpenEngine(f);
  if (!engine.ok()) return engine.status();
  Watcher watcher(Silent(f.json));
  const Result<std::vector<Replayed>> all = Replay(tree, *engine, &watcher);
  if (!all.ok()) return all.status();
  int64_t wrong = 0;
  for (const Replayed& r : *all) {
    wrong += !r.matches;
    if (f.json) {
      PrintEvent({{"event", "replayed"},
                  {"turn", r.id},
                  {"matches", r.matches},
                  {"equal", r.comparison.equal},
                  {"psnr_db", NumberOrNull(r.comparison.psnr_db)},
                  {"differences", r.differences}});
    } else {
      std::printf("turn %lld: %s, %s\n", static_cast<long long>(r.id),
                  r.matches ? "matches" : "does not match",
                  r.comparison.equal ? "equal pixels"
                                     : fmt::format("PSNR {:.2f} dB", r.comparison.psnr_db).c_str());
    }
  }
  if (wrong == 0) return Status();
  return Status(Code::kInternal, fmt::format("{} of {} turns do not match", wrong, all->size()));
}

Status Export(const TreeFlags& f, const Tree& tree) {
  const Result<std::vector<Turn>> turns = tree.Turns();
  if (!turns.ok()) return turns.status();
  std::error_code ec;
  fs::create_directories(f.output, ec);
  for (const Turn& t : *turns) {
    if (f.turn != 0 && t.id != f.turn) continue;
    const Result<Edited> edited = tree.Load(t.id);
    if (!edited.ok()) return edited.status();
    const fs::path path = fs::path(f.output) / fmt::format("turn-{}.png", t.id);
    const Status saved = SavePicture(path.string(), *edited);
    if (!saved.ok()) return saved;
    std::printf("%s\n", path.c_str());
  }
  return Status();
}

// The pictures named, and those inside folders named.
std::vector<fs::path> Pictures(const std::vector<std::string>& inputs) {
  std::vector<fs::path> all;
  std::error_code ec;
  for (const std::string& input : inputs) {
    if (!fs::is_directory(input, ec)) {
      all.emplace_back(input);
      continue;
    }
    std::vector<fs::path> inside;
    for (const auto& entry : fs::directory_iterator(input, ec)) {
      const std::string ending = entry.path().extension().string();
      if (ending == ".png" || ending == ".jpg" || ending == ".jpeg" || ending == ".webp")
        inside.push_back(entry.path());
    }
    std::sort(inside.begin(), inside.end());
    all.insert(all.end(), inside.begin(), inside.end());
  }
  return all;
}

Status Apply(const TreeFlags& f, const Tree& tree) {
  Result<Engine> engine = OpenEngine(f);
  if (!engine.ok()) return engine.status();
  Watcher watcher(Silent(f.json));
  std::error_code ec;
  fs::create_directories(f.output, ec);
  for (const fs::path& path : Pictures(f.inputs)) {
    const Result<LoadedPicture> picture = LoadPicture(path.string());
    if (!picture.ok()) return picture.status();
    const Result<Edited> edited = ApplyChain(tree, f.turn, picture->pixels, *engine, &watcher);
    if (!edited.ok())
      return Status(edited.code(), fmt::format("{}: {}", path.string(), edited.message()));
    const fs::path out = fs::path(f.output) / (path.stem().string() + ".png");
    const Status saved = SavePicture(out.string(), *edited);
    if (!saved.ok()) return saved;
    std::printf("%s\n", out.c_str());
  }
  return Status();
}

int RunOn(const TreeFlags& f, Status (*what)(const TreeFlags&, const Tree&)) {
  const Result<Tree> tree = Tree::Open(f.file);
  return Report(tree.ok() ? what(f, *tree) : tree.status());
}

}  // namespace

void AddTree(CLI::App& app, Action& action) {
  auto flags = std::make_shared<TreeFlags>();
  CLI::App* tree = app.add_subcommand("tree", "A tree of edits in one file (edit --tree makes it)");
  tree->require_subcommand(1);
  const auto add = [&](const char* name, const char* about,
                       Status (*what)(const TreeFlags&, const Tree&)) {
    CLI::App* c = tree->add_subcommand(name, about);
    c->add_option("file", flags->file, "FILE.kontext")->required();
    c->callback([flags, what, &action] { action = [flags, what] { return RunOn(*flags, what); }; });
    return c;
  };
  CLI::App* show = add("show", "Turns, prompts, and how far each has drifted from its root", Show);
  CLI::App* replay = add("replay", "Make each turn again: which match?", ReplayAll);
  CLI::App* save = add("export", "The turns' pictures, with their recipes", Export);
  CLI::App* apply = add("apply", "The edits up to a turn, on other pictures", Apply);
  for (CLI::App* c : {show, replay}) c->add_flag("--json", flags->json, "One JSON object a line");
  for (CLI::App* c : {save, apply})
    c->add_option("-o,--output", flags->output, "Folder for the pictures")->required();
  save->add_option("--turn", flags->turn, "Only this one");
  apply->add_option("--turn", flags->turn, "The last turn of the chain")->required();
  apply->add_option("-i,--input", flags->inputs, "A picture, or a folder of them; may be repeated")
      ->required();
  for (CLI::App* c : {replay, apply}) AddEngineFlags(*c, flags->engine);
}

}  // namespace kontext::cli
