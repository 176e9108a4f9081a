#include "model/parts.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "model/config_from_shapes.h"
#include "model/flux_kontext.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

bool Exists(const fs::path& path) {
  std::error_code ec;
  return fs::exists(path, ec);
}

bool IsFolder(const std::string& path) {
  std::error_code ec;
  return fs::is_directory(path, ec);
}

const std::string& Named(const ModelFiles& files, Part part) {
  switch (part) {
    case Part::kClip:
      return files.clip;
    case Part::kT5:
      return files.t5;
    case Part::kVae:
      return files.vae;
    case Part::kTransformer:
      break;
  }
  return files.transformer;
}

// What a model directory must have beside the parts that files replace.
Status CheckDirectory(const ModelFiles& files) {
  const std::string& directory = files.model;
  if (!Exists(directory)) {
    return BadInput(
        "{}: no such model directory or file; -m names a directory in Diffusers layout "
        "(model_index.json, transformer/, vae/, text_encoder/, text_encoder_2/, tokenizer/, "
        "tokenizer_2/, scheduler/), a transformer file or an all-in-one checkpoint",
        directory);
  }
  if (!IsFolder(directory)) return Status();
  std::string missing;
  const auto need = [&](const std::string& path) {
    if (!Exists(fs::path(directory) / path)) missing += (missing.empty() ? "" : ", ") + path;
  };
  for (const Part part : kParts) {
    if (Named(files, part).empty()) need(std::string(TraitsOf(part).folder) + "/config.json");
  }
  need("scheduler/scheduler_config.json");
  if (files.tokenizers.empty()) {
    need("tokenizer");
    need("tokenizer_2");
  }
  if (missing.empty()) return Status();
  return BadInput(
      "{}: not a whole model directory, it lacks {}. If it is a folder of single files, \"kontext "
      "doctor\" says which of them make a model",
      directory, missing);
}

// The part that a file is, by its family; null if it is none.
const PartTraits* PartOf(Family family) {
  for (const Part part : kParts) {
    if (TraitsOf(part).family == family) return &TraitsOf(part);
  }
  return nullptr;
}

// What the file that was named as `part` must be.
Status CheckRole(Part part, const std::string& path, const Identity& id) {
  const PartTraits& want = TraitsOf(part);
  if (id.family == Family::kUnknown) return Status();  // the loader says which names it looked for
  if (!id.Holds(want.family)) {
    const PartTraits* is = id.parts.size() == 1 ? PartOf(id.parts[0]) : nullptr;
    const std::string hint = is != nullptr ? fmt::format("pass it with {}", is->flag) : id.instead;
    return BadInput("{}: expected the {}, this is {}{}. What is wanted here is {}", path, want.name,
                    id.description, hint.empty() ? "" : "; " + hint, want.get);
  }
  if (!id.instead.empty()) return BadInput("{}: this is {}; {}", path, id.description, id.instead);
  return Status();
}

class PartOpener {
 public:
  explicit PartOpener(const ModelFiles& files) : files_(files) {}

  Result<Parts> Open() {
    const bool directory = IsFolder(files_.model);
    const bool single = !files_.model.empty() && !directory;
    Identity inside;  // of the single file
    if (single) {
      KX_ASSIGN_OR_RETURN(inside, Look(files_.model));
      if (files_.transformer.empty())
        KX_RETURN_IF_ERROR(CheckRole(Part::kTransformer, files_.model, inside));
    }
    std::string missing;
    for (const Part part : kParts) {
      const std::string& named = Named(files_, part);
      PartSource& source = parts_.sources[static_cast<size_t>(part)];
      if (!named.empty()) {
        source.path = named;
      } else if (directory) {
        source.path = (fs::path(files_.model) / TraitsOf(part).folder).string();
        source.in_directory = true;
      } else if (single && (inside.Holds(TraitsOf(part).family) || part == Part::kTransformer)) {
        source.path = files_.model;
      } else {
        missing += fmt::format("\n  {} FILE: {}", TraitsOf(part).flag, TraitsOf(part).get);
        continue;
      }
    }
    if (!missing.empty()) {
      return BadInput(
          "{}: {}. To run it these are missing, too:{}\n\"kontext doctor DIR\" looks for them in a "
          "folder",
          single ? files_.model : "no model directory",
          single ? "this is " + inside.description : "its parts were named one by one", missing);
    }
    for (const Part part : kParts) {
      PartSource& source = parts_.sources[static_cast<size_t>(part)];
      KX_ASSIGN_OR_RETURN(const Identity id, Look(source.path));
      KX_RETURN_IF_ERROR(CheckRole(part, source.path, id));
      source.file = opened_.at(source.path).file;
    }
    return FindTokenizers(directory);
  }

 private:
  struct Opened {
    const WeightFile* file = nullptr;
    Identity identity;
  };

  // Each file is opened and identified once.
  Result<Identity> Look(const std::string& path) {
    const auto at = opened_.find(path);
    if (at != opened_.end()) return at->second.identity;
    KX_ASSIGN_OR_RETURN(std::unique_ptr<WeightFile> file, WeightFile::Open(path));
    Opened& opened = opened_[path];
    opened = {file.get(), Identify(file->tensors())};
    parts_.files.push_back(std::move(file));
    return opened.identity;
  }

  Result<Parts> FindTokenizers(bool directory) {
    parts_.tokenizers = !files_.tokenizers.empty() ? files_.tokenizers : files_.model;
    if (files_.tokenizers.empty() && !directory) {
      return BadInput(
          "{}: a file holds no tokenizers; name a folder that has tokenizer/ and tokenizer_2/ with "
          "--tokenizers",
          files_.model.empty() ? files_.transformer : files_.model);
    }
    parts_.configs = directory ? files_.model : files_.tokenizers;
    return std::move(parts_);
  }

  const ModelFiles& files_;
  Parts parts_;
  std::map<std::string, Opened> opened_;
};

// The config of one part: the directory's as it is; or of the directory (or FLUX.1) and of the
// file's shapes, which overrule it.
template <class Config, class Read, class FromShapes>
Result<Config> ConfigOf(const Parts& parts, Part part, const Read& read,
                        const FromShapes& from_shapes) {
  const PartSource& source = parts.of(part);
  const fs::path path = fs::path(parts.configs) / TraitsOf(part).folder / "config.json";
  Config known;
  if (source.in_directory || Exists(path)) {
    KX_ASSIGN_OR_RETURN(known, read(path.string()));
  }
  if (source.in_directory) return known;
  return from_shapes(source.file->tensors(), source.path, known);
}

}  // namespace

const PartTraits& TraitsOf(Part part) {
  // Where: repositories on Hugging Face.
  static constexpr std::array<PartTraits, kParts.size()> kTraits = {{
      {Family::kClip, "--clip", "text_encoder", "CLIP-L text encoder",
       "clip_l.safetensors (0.25 GB, from comfyanonymous/flux_text_encoders)"},
      {Family::kT5, "--t5", "text_encoder_2", "T5-XXL text encoder",
       "t5xxl_fp16.safetensors (9.8 GB) or t5xxl_fp8_e4m3fn_scaled.safetensors (5.2 GB), from "
       "comfyanonymous/flux_text_encoders"},
      {Family::kFluxVae, "--vae", "vae", "FLUX.1 autoencoder",
       "ae.safetensors (0.3 GB, from black-forest-labs/FLUX.1-Kontext-dev)"},
      {Family::kFluxTransformer, "--transformer", "transformer", "FLUX.1 Kontext transformer",
       "flux1-kontext-dev.safetensors (23.8 GB, from black-forest-labs/FLUX.1-Kontext-dev), its "
       "fp8 "
       "form (11.9 GB, from Comfy-Org/flux1-kontext-dev_ComfyUI) or its GGUF form (4 to 13 GB, "
       "from "
       "QuantStack/FLUX.1-Kontext-dev-GGUF)"},
  }};
  return kTraits[static_cast<size_t>(part)];
}

Result<Parts> OpenParts(const ModelFiles& files) {
  if (!files.model.empty()) KX_RETURN_IF_ERROR(CheckDirectory(files));
  return PartOpener(files).Open();
}

Result<PartConfigs> ReadPartConfigs(const Parts& parts) {
  PartConfigs c;
  KX_ASSIGN_OR_RETURN(c.dit, ConfigOf<DitConfig>(parts, Part::kTransformer, ReadDitConfig,
                                                 [](const WeightMap& tensors,
                                                    const std::string& file, const DitConfig&) {
                                                   return DitConfigFromShapes(tensors, file);
                                                 }));
  KX_ASSIGN_OR_RETURN(c.vae,
                      ConfigOf<VaeConfig>(parts, Part::kVae, ReadVaeConfig, VaeConfigFromShapes));
  KX_ASSIGN_OR_RETURN(
      c.clip, ConfigOf<ClipConfig>(parts, Part::kClip, ReadClipConfig, ClipConfigFromShapes));
  KX_ASSIGN_OR_RETURN(c.t5, ConfigOf<T5Config>(parts, Part::kT5, ReadT5Config, T5ConfigFromShapes));
  const fs::path scheduler = fs::path(parts.configs) / "scheduler" / "scheduler_config.json";
  c.scheduler = FluxKontextScheduler();
  if (Exists(scheduler)) {
    KX_ASSIGN_OR_RETURN(c.scheduler, ReadSchedulerConfig(scheduler.string()));
  }
  KX_ASSIGN_OR_RETURN(c.defaults,
                      ReadModelDefaults((fs::path(parts.configs) / "kontext.json").string()));
  return c;
}

}  // namespace kontext
