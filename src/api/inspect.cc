// kontext.h's Inspect: what a file or folder is, told by its content.
#include <filesystem>

#include "api/look.h"
#include "base/guard.h"
#include "io/container.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/picture.h"
#include "kontext/kontext.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

Result<Inspection> InspectWeights(const std::string& path, const std::string& configs,
                                  const InspectOptions& options) {
  KX_ASSIGN_OR_RETURN(Look look, LookAtWeights(path, configs, {.sha256 = options.sha256}));
  return std::move(look.inspection);
}

// A picture, if it is one.
Result<Inspection> InspectPicture(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()),
                               static_cast<size_t>(file.size()));
  KX_ASSIGN_OR_RETURN(const DecodedPicture picture,
                      DecodePicture(bytes, path, /*keep_alpha=*/true));
  Inspection out;
  out.path = path;
  out.kind = fmt::format("picture, {}x{}", picture.pixels.width, picture.pixels.height);
  out.bytes = file.size();
  out.recipe = picture.recipe;
  return out;
}

Result<Inspection> InspectFile(const std::string& path, const InspectOptions& options) {
  KX_ASSIGN_OR_RETURN(const Container container, SniffFile(path));
  const ContainerWords words = Describe(container);
  const bool index = container == Container::kJson && path.ends_with(".index.json");
  if (container == Container::kSafetensors || container == Container::kGguf || index)
    return InspectWeights(path, "", options);
  if (container == Container::kUnknown) {
    Result<Inspection> picture = InspectPicture(path);
    if (picture.ok()) return picture;
  }
  std::error_code ec;
  Inspection out;
  out.path = path;
  out.kind = words.kind;
  out.bytes = static_cast<int64_t>(fs::file_size(path, ec));
  out.problems.push_back(words.instead);
  return out;
}

// A model directory: its parts, and what is missing.
Result<Inspection> InspectModel(const std::string& path, const InspectOptions& options) {
  Inspection out;
  out.path = path;
  out.kind = "model directory";
  KX_ASSIGN_OR_RETURN(const Json index,
                      ReadJsonFile((fs::path(path) / "model_index.json").string()));
  const std::string pipeline = index.is_object() ? index.value("_class_name", "") : "";
  out.family = pipeline.empty() ? "unknown" : pipeline;
  if (pipeline == "FluxKontextPipeline") out.variant = "Kontext [dev], by model_index.json";
  for (const char* part : {"transformer", "text_encoder", "text_encoder_2", "vae"}) {
    const std::string folder = (fs::path(path) / part).string();
    Result<Inspection> inside = InspectWeights(folder, path, options);
    if (!inside.ok()) {
      out.problems.push_back(inside.message());
      continue;
    }
    if (part != std::string("transformer")) inside->variant.clear();
    out.tensors += inside->tensors;
    out.parameters += inside->parameters;
    out.bytes += inside->bytes;
    out.parts.push_back(*std::move(inside));
  }
  for (const char* need : {"tokenizer", "tokenizer_2", "scheduler/scheduler_config.json"}) {
    std::error_code ec;
    if (!fs::exists(fs::path(path) / need, ec))
      out.problems.push_back(fmt::format("{} is missing", need));
  }
  return out;
}

}  // namespace

Result<Inspection> Inspect(const std::string& path, const InspectOptions& options) {
  return Guard([&]() -> Result<Inspection> {
    std::error_code ec;
    if (!fs::is_directory(path, ec)) return InspectFile(path, options);
    if (fs::exists(fs::path(path) / "model_index.json", ec)) return InspectModel(path, options);
    return InspectWeights(path, "", options);
  });
}

}  // namespace kontext
