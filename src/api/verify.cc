// kontext/recipe.h: a picture's recipe, run again.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "base/guard.h"
#include "base/status.h"
#include "base/threads.h"
#include "io/picture.h"
#include "kontext/recipe.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

// The picture or mask of a recipe, from the first place whose pixels are those of the recipe.
// load(path) gives the pixels' hash, and keeps what it read.
Status Find(const std::string& what, const Recipe::Picture& wanted, const std::string& named,
            const std::string& made,
            const std::function<Result<std::string>(const std::string&)>& load) {
  std::vector<fs::path> places;
  const fs::path file(wanted.file), folder = fs::path(made).parent_path();
  if (!named.empty()) {
    places = {named};
  } else if (!wanted.file.empty()) {
    places = {file, folder / file, folder / file.filename()};
  } else {
    return BadInput("{}: the recipe names no file for its {}; name it", made, what);
  }
  std::string tried;
  for (size_t i = 0; i < places.size(); ++i) {
    if (std::find(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(i), places[i]) !=
        places.begin() + static_cast<std::ptrdiff_t>(i)) {
      continue;
    }
    const auto hash = load(places[i].string());
    if (hash.ok() && *hash == wanted.pixels_sha256) return Status();
    if (!tried.empty()) tried += "; ";
    tried += hash.ok()
                 ? fmt::format("{} is another picture (SHA-256 of its pixels {}, expected {})",
                               places[i].string(), hash->substr(0, 16),
                               wanted.pixels_sha256.substr(0, 16))
                 : hash.message();
  }
  return BadInput("{}: its {} was not found: {}", made, what, tried);
}

Status FindInputs(const std::string& path, const Recipe& recipe, const VerifyOptions& options,
                  EditRequest& request) {
  if (!options.inputs.empty() && options.inputs.size() != recipe.references.size()) {
    return Usage("{}: its recipe has {} input pictures, {} were named", path,
                 recipe.references.size(), options.inputs.size());
  }
  for (size_t i = 0; i < recipe.references.size(); ++i) {
    const Recipe::Picture& wanted = recipe.references[i];
    if (wanted.latents) {
      return BadInput(
          "{}: it was made from the latents of input picture {}, which are not in the picture; "
          "the tree of edits it comes from can replay it",
          path, i + 1);
    }
    const auto load = [&](const std::string& file) -> Result<std::string> {
      KX_ASSIGN_OR_RETURN(LoadedPicture loaded, LoadPicture(file, wanted.alpha));
      const auto hash = PixelsSha256(loaded.pixels);
      if (hash.ok() && *hash == wanted.pixels_sha256)
        request.images.push_back(std::move(loaded.pixels));
      return hash;
    };
    KX_RETURN_IF_ERROR(Find(fmt::format("input picture {}", i + 1), wanted,
                            options.inputs.empty() ? "" : options.inputs[i], path, load));
  }
  if (!recipe.mask) return Status();
  return Find("mask", *recipe.mask, options.mask, path,
              [&](const std::string& file) -> Result<std::string> {
                KX_ASSIGN_OR_RETURN(request.mask, LoadMask(file));
                return MaskSha256(*request.mask);
              });
}

Result<Engine> OpenAs(const std::string& path, const Recipe& recipe, EngineOptions options) {
  if (options.backend.empty()) options.backend = recipe.backend;
  if (options.dtype.empty() && recipe.backend != "reference")
    options.dtype = recipe.activations == "BF16" ? "bf16" : "f32";
  if (options.threads == 0) options.threads = std::min(recipe.threads, AvailableThreads());
  if (options.loras.size() != recipe.loras.size()) {
    return BadInput(
        "{}: was made with {} adapters{}{}, {} were named; name them as when it was made", path,
        recipe.loras.size(), recipe.loras.empty() ? "" : ", the first ",
        recipe.loras.empty() ? "" : recipe.loras[0].file, options.loras.size());
  }
  options.merge_loras = recipe.loras_merged;
  KX_ASSIGN_OR_RETURN(Engine engine, Engine::Open(options));
  const ModelInfo model = engine.model();
  if (model.fingerprint != recipe.fingerprint) {
    return BadInput("{}: was made with the model {} ({}), this is {} ({}); name that model", path,
                    recipe.model_name, recipe.fingerprint, model.name, model.fingerprint);
  }
  return engine;
}

Status SameAdapters(const std::string& path, const Recipe& made, const Recipe& again) {
  for (size_t i = 0; i < made.loras.size(); ++i) {
    if (made.loras[i].sha256 == again.loras[i].sha256 &&
        made.loras[i].strength == again.loras[i].strength) {
      continue;
    }
    return BadInput("{}: adapter {} was {} (SHA-256 {}) at strength {}, this is {} ({}) at {}",
                    path, i + 1, made.loras[i].file, made.loras[i].sha256.substr(0, 16),
                    made.loras[i].strength, again.loras[i].file,
                    again.loras[i].sha256.substr(0, 16), again.loras[i].strength);
  }
  return Status();
}

// What a file of that format gives back of these pixels: JPEG loses some.
Result<Pixels> AsSaved(const std::string& path, const Pixels& pixels) {
  KX_ASSIGN_OR_RETURN(const PictureFormat format, FormatOfPath(path));
  KX_ASSIGN_OR_RETURN(const std::string bytes, EncodePicture(pixels, format, ""));
  KX_ASSIGN_OR_RETURN(DecodedPicture decoded, DecodePicture(bytes, path, pixels.channels == 4));
  return std::move(decoded.pixels);
}

Result<Verification> Run(const std::string& path, const VerifyOptions& options,
                         EditListener* listener) {
  KX_ASSIGN_OR_RETURN(LoadedPicture made, LoadPicture(path, true));
  if (made.recipe.empty()) {
    return BadInput("{}: carries no recipe; kontext writes one into every picture it makes", path);
  }
  auto recipe = ReadRecipe(made.recipe);
  if (!recipe.ok()) return Status(recipe.code(), path + ": " + recipe.message());
  EditRequest request = recipe->request;
  KX_RETURN_IF_ERROR(FindInputs(path, *recipe, options, request));
  KX_ASSIGN_OR_RETURN(Engine engine, OpenAs(path, *recipe, options.engine));
  KX_ASSIGN_OR_RETURN(std::vector<Edited> edits, engine.Edit(request, listener));

  Verification v;
  v.again = std::move(edits[0]);
  KX_ASSIGN_OR_RETURN(const Recipe again, ReadRecipe(v.again.recipe));
  KX_RETURN_IF_ERROR(SameAdapters(path, *recipe, again));
  KX_ASSIGN_OR_RETURN(const Pixels saved, AsSaved(path, v.again.picture));
  if (saved.channels == 3 && made.pixels.channels == 4) {
    KX_ASSIGN_OR_RETURN(made, LoadPicture(path, false));
  }
  v.comparison = Compare(made.pixels, saved);
  v.differences = RunDifferences(*recipe, again);
  v.matches = Matches(v.comparison, v.differences);
  return v;
}

}  // namespace

Comparison Compare(const Pixels& a, const Pixels& b) {
  if (a.width != b.width || a.height != b.height || a.channels != b.channels ||
      a.data.size() != b.data.size() || a.data.empty()) {
    return {};
  }
  double error = 0;
  for (size_t i = 0; i < a.data.size(); ++i) {
    const double d = static_cast<double>(a.data[i]) - b.data[i];
    error += d * d;
  }
  if (error == 0) return {true, std::numeric_limits<double>::infinity()};
  return {false, 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.data.size()) / error)};
}

std::vector<std::string> RunDifferences(const Recipe& made, const Recipe& again) {
  std::vector<std::string> differences;
  const auto compare = [&](const char* what, const std::string& then, const std::string& now) {
    if (then != now) differences.push_back(fmt::format("{}: {}, here {}", what, then, now));
  };
  compare("build", made.build, again.build);
  compare("instruction set", made.isa, again.isa);
  compare("backend", made.backend, again.backend);
  compare("activations", made.activations, again.activations);
  compare("mode", made.mode, again.mode);
  compare("threads", std::to_string(made.threads), std::to_string(again.threads));
  return differences;
}

bool Matches(const Comparison& comparison, const std::vector<std::string>& differences) {
  return comparison.equal || (!differences.empty() && comparison.psnr_db >= kSamePictureDb);
}

Result<Verification> Verify(const std::string& path, const VerifyOptions& options,
                            EditListener* listener) {
  return Guard([&] { return Run(path, options, listener); });
}

}  // namespace kontext
