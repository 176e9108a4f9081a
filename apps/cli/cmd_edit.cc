// kontext edit and kontext generate: the main job.
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/outputs.h"
#include "cli/watcher.h"
#include "kontext/tree.h"

namespace kontext::cli {
namespace {

struct EditFlags {
  EngineFlags engine;
  std::vector<std::string> inputs;
  std::string prompt, output, size = "auto", preview;
  std::string negative, mask, tree;
  int64_t from = 0;
  bool from_pixels = false;
  int feather = 0;
  uint64_t seed = 0;
  int count = 1, steps = 0;
  float guidance = 0, true_cfg = 1;
  Like like = Like::kOurs;
  Mode mode = EditRequest{}.mode;
  bool keep_alpha = false, keep_size = false, json = false, quiet = false;
  int verbose = 0;
  CLI::App* command = nullptr;

  bool Given(const char* option) const {
    const CLI::Option* known = command->get_option_no_throw(option);
    return known != nullptr && known->count() > 0;
  }
};

const std::map<std::string, Like> kLikes = {{"bfl", Like::kBfl},
                                            {"diffusers", Like::kDiffusers},
                                            {"comfyui", Like::kComfyUi},
                                            {"sdcpp", Like::kSdCpp}};

void AddEditFlags(CLI::App& c, EditFlags& f) {
  const EditLimits limits;
  c.add_option("-p,--prompt", f.prompt, "What to do, in plain English")->required();
  c.add_option("-o,--output", f.output,
               "Where the picture goes: .png, .jpg or .webp (default: named after input and seed)");
  c.add_option("--seed", f.seed, "Seed of the noise (default: drawn, printed and stored)");
  c.add_option("-n,--n", f.count, "Pictures, of seeds N, N+1, ...")
      ->check(CLI::Range(1, limits.max_count));
  c.add_option("--steps", f.steps, "Steps (default: the model's, 28)")
      ->check(CLI::Range(1, limits.max_steps));
  c.add_option("--guidance", f.guidance,
               "How strictly to follow the prompt (default: the model's, 2.5)")
      ->check(CLI::Range(0.0f, limits.max_guidance));
  c.add_option("--true-cfg", f.true_cfg, "Guide away from --negative by two passes a step; above 1")
      ->check(CLI::Range(0.0f, limits.max_true_cfg));
  c.add_option("--negative", f.negative, "What to stay away from; needs --true-cfg above 1");
  c.add_option(
      "--size", f.size,
      "WIDTHxHEIGHT in multiples of 16, or auto: the model's size nearest the input's aspect");
  c.add_option("--like", f.like,
               "Follow another program's habits, so that its seeds give its pictures: bfl, "
               "diffusers, comfyui, sdcpp")
      ->transform(CLI::CheckedTransformer(kLikes, CLI::ignore_case));
  AddMode(c, f.mode);
  c.add_option("--preview", f.preview,
               "Rewrite this picture after every step with what it is heading for");
  c.add_flag("--json", f.json, "Events on stdout, one JSON object a line");
  c.add_flag("-q,--quiet", f.quiet, "Print only the paths of the pictures");
  c.add_flag("-v,--verbose", f.verbose, "Say more: the model, the sizes, where the time went");
  AddEngineFlags(c, f.engine);
  f.command = &c;
}

Result<EditRequest> MakeRequest(const EditFlags& f, Watcher& watcher) {
  EditRequest r;
  r.prompt = f.prompt;
  r.count = f.count;
  r.like = f.like;
  r.mode = f.mode;
  r.true_cfg = f.true_cfg;
  r.keep_reference_size = f.keep_size;
  r.previews = !f.preview.empty();
  if (f.Given("--seed")) r.seed = f.seed;
  if (f.Given("--steps")) r.steps = f.steps;
  if (f.Given("--guidance")) r.guidance = f.guidance;
  if (f.Given("--negative")) r.negative = f.negative;
  if (f.size != "auto") {
    Result<Size> size = ParseSize(f.size);
    if (!size.ok()) return size.status();
    r.size = *size;
  }
  for (const std::string& path : f.inputs) {
    Result<LoadedPicture> picture = LoadPicture(path, f.keep_alpha);
    if (!picture.ok()) return picture.status();
    for (const std::string& note : picture->notes) watcher.OnNote(path + ": " + note);
    r.images.push_back(std::move(picture->pixels));
    r.image_files.push_back(path);
  }
  if (!f.mask.empty()) {
    Result<Mask> mask = LoadMask(f.mask);
    if (!mask.ok()) return mask.status();
    r.mask = std::move(*mask);
    r.mask_file = f.mask;
  }
  r.feather_px = f.feather;
  return r;
}

// The root that shows this picture, or a new one.
Result<int64_t> RootOf(Tree& tree, const std::string& name, const Pixels& picture) {
  const Result<std::string> sum = PixelsSha256(picture);
  if (!sum.ok()) return sum.status();
  const Result<std::vector<Turn>> turns = tree.Turns();
  if (!turns.ok()) return turns.status();
  for (const Turn& turn : *turns) {
    if (turn.parent == 0 && turn.pixels_sha256 == *sum) return turn.id;
  }
  return tree.AddRoot(name, picture);
}

// Where in a tree the edit begins: at --from, or at the first input as a root. The request's first
// reference is then that turn's picture, and its latents.
Result<int64_t> BeginInTree(const EditFlags& f, Tree& tree, EditRequest& request) {
  Result<int64_t> parent = f.from;
  if (!f.Given("--from")) {
    parent = RootOf(tree, f.inputs.front(), request.images.front());
    if (!parent.ok()) return parent.status();
    request.images.erase(request.images.begin());
    request.image_files.erase(request.image_files.begin());
  }
  Result<EditRequest> from = tree.Continue(*parent, !f.from_pixels);
  if (!from.ok()) return from.status();
  request.images.insert(request.images.begin(), std::move(from->images.front()));
  request.image_files.insert(request.image_files.begin(), "");
  request.latents = std::move(from->latents);
  return parent;
}

Status AddToTree(const EditFlags& f, Tree& tree, int64_t parent, const EditRequest& request,
                 const std::vector<Edited>& edits, Watcher& watcher) {
  for (const Edited& edited : edits) {
    const Result<int64_t> turn = tree.AddEdit(parent, f.prompt, request, edited);
    if (!turn.ok()) return turn.status();
    watcher.OnNote(fmt::format("turn {} of {}", *turn, f.tree));
  }
  return Status();
}

void PrintTrace(const Engine& engine) {
  std::fprintf(stderr, "%-22s %8s %10s %10s\n", "op", "calls", "seconds", "Gop/s");
  for (const OpTime& t : engine.trace()) {
    std::fprintf(stderr, "%-22s %8lld %10.3f %10.1f\n", t.op.c_str(),
                 static_cast<long long>(t.calls), t.seconds,
                 t.seconds > 0 ? t.operations / t.seconds * 1e-9 : 0.0);
  }
}

Status RunEdits(const EditFlags& f, Watcher& watcher) {
  if (f.command->get_name() == "edit" && f.inputs.empty() && !f.Given("--from"))
    return Status(Code::kUsage, "--input: is required, or --tree with --from");
  if (!f.output.empty()) {
    const Status writable = CheckWritable(f.output);
    if (!writable.ok()) return writable;
  }
  Result<EditRequest> request = MakeRequest(f, watcher);
  if (!request.ok()) return request.status();
  std::optional<Tree> tree;
  int64_t parent = 0;
  if (!f.tree.empty()) {
    Result<Tree> opened = f.Given("--from") ? Tree::Open(f.tree) : Tree::OpenOrCreate(f.tree);
    if (!opened.ok()) return opened.status();
    tree = std::move(*opened);
    const Result<int64_t> begin = BeginInTree(f, *tree, *request);
    if (!begin.ok()) return begin.status();
    parent = *begin;
  }
  const Result<EngineOptions> options = Resolve(f.engine);
  if (!options.ok()) return options.status();
  Result<Engine> engine = Engine::Open(*options);
  if (!engine.ok()) return engine.status();
  if (f.verbose > 0) {
    const ModelInfo model = engine->model();
    watcher.OnNote(fmt::format(
        "model {} ({}), licence {}", model.name, model.fingerprint,
        model.license.empty() ? "not stated; FLUX.1 [dev] is non-commercial" : model.license));
    engine->StartTrace();
  }
  const Result<std::vector<Edited>> edits = engine->Edit(*request, &watcher);
  if (!edits.ok()) return edits.status();
  if (f.verbose > 0 && !f.json) PrintTrace(*engine);
  if (tree) {
    const Status added = AddToTree(f, *tree, parent, *request, *edits, watcher);
    if (!added.ok()) return added;
  }
  return watcher.save_status();
}

int RunCommand(const EditFlags& f) {
  Watcher watcher({f.json, f.quiet, f.verbose, f.output, f.inputs.empty() ? "" : f.inputs.front(),
                   f.preview, f.count});
  const Status status = RunEdits(f, watcher);
  if (!status.ok()) watcher.Error(status);
  return Report(status);
}

}  // namespace

void AddEdit(CLI::App& app, Action& action) {
  auto flags = std::make_shared<EditFlags>();
  CLI::App* c = app.add_subcommand(
      "edit", "Edit a picture: kontext edit -i in.png -p \"put the cat in the city\"");
  c->add_option("-i,--input", flags->inputs, "Picture to edit; repeat for further references");
  c->add_flag("--keep-alpha", flags->keep_alpha,
              "Keep the first picture's transparency (default: laid over white)");
  c->add_flag("--keep-reference-size", flags->keep_size,
              "Use pictures at their own size (cut to multiples of 16), not at the model's");
  c->add_option("--mask", flags->mask,
                "Picture of what may change: white may, black keeps its pixels bit for bit; the "
                "output has the input's size");
  c->add_option("--feather", flags->feather,
                "Fade the edit out over this many pixels inside the mask's edge")
      ->check(CLI::Range(0, EditLimits{}.max_feather_px));
  CLI::Option* tree = c->add_option(
      "--tree", flags->tree, "Keep the edit as a turn of this tree (FILE.kontext), made if new");
  c->add_option("--from", flags->from, "The turn of the tree to go on from, instead of -i")
      ->needs(tree);
  c->add_flag("--from-pixels", flags->from_pixels,
              "Go on from the turn's 8-bit picture, not from its latents")
      ->needs(tree);
  AddEditFlags(*c, *flags);
  c->callback([flags, &action] { action = [flags] { return RunCommand(*flags); }; });
}

void AddGenerate(CLI::App& app, Action& action) {
  auto flags = std::make_shared<EditFlags>();
  CLI::App* c = app.add_subcommand(
      "generate", "Draw from text alone: kontext generate -p \"a happy orange cat\"");
  AddEditFlags(*c, *flags);
  c->callback([flags, &action] { action = [flags] { return RunCommand(*flags); }; });
}

}  // namespace kontext::cli
