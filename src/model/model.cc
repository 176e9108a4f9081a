#include "model/model.h"

#include <filesystem>
#include <functional>
#include <map>

#include "model/fingerprint.h"
#include "weights/dialect.h"
#include "weights/loader.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

// What one network needs to be loaded: where, under which names, and its weight table.
struct Part {
  std::string path;
  std::vector<NameTable> dialects;
  std::function<void(WeightVisitor&)> visit;
};

std::string PartPath(const ModelFiles& files, const std::string& replacement, const char* folder) {
  return replacement.empty() ? (fs::path(files.directory) / folder).string() : replacement;
}

Status LoadPart(const Part& part, Ops& ops, Model& model) {
  KX_ASSIGN_OR_RETURN(std::unique_ptr<WeightFile> file, WeightFile::Open(part.path));
  model.files.push_back(std::move(file));
  KX_ASSIGN_OR_RETURN(const auto source, CheckpointSource::Create(model.files.back()->tensors(),
                                                                  part.path, part.dialects));
  return LoadWeights(part.visit, *source, ops);
}

Status CheckDirectory(const std::string& directory) {
  std::error_code ec;
  if (!fs::exists(directory, ec)) {
    return BadInput(
        "{}: no such model directory; -m names one in Diffusers layout (model_index.json, "
        "transformer/, "
        "vae/, text_encoder/, text_encoder_2/, tokenizer/, tokenizer_2/, scheduler/)",
        directory);
  }
  if (!fs::is_directory(directory, ec)) {
    return BadInput(
        "{}: is a file, expected a model directory; a single transformer file goes with "
        "--transformer FILE "
        "over a directory that has the other parts. \"kontext inspect\" says what the file is",
        directory);
  }
  std::string missing;
  for (const char* need : {"transformer/config.json", "vae/config.json", "text_encoder/config.json",
                           "text_encoder_2/config.json", "scheduler/scheduler_config.json",
                           "tokenizer", "tokenizer_2"}) {
    if (!fs::exists(fs::path(directory) / need, ec))
      missing += (missing.empty() ? "" : ", ") + std::string(need);
  }
  if (!missing.empty())
    return BadInput("{}: not a whole model directory, it lacks {}", directory, missing);
  return Status();
}

Status CheckVocabularies(const Model& m) {
  if (m.clip_tokens.vocab_size() > m.clip_config.vocab) {
    return BadInput("tokenizer has {} tokens, text_encoder {}; are they of one model?",
                    m.clip_tokens.vocab_size(), m.clip_config.vocab);
  }
  if (m.t5_tokens.vocab_size() > m.t5_config.vocab) {
    return BadInput("tokenizer_2 has {} tokens, text_encoder_2 {}; are they of one model?",
                    m.t5_tokens.vocab_size(), m.t5_config.vocab);
  }
  return Status();
}

}  // namespace

Result<std::unique_ptr<Model>> OpenModel(const ModelFiles& files, Ops& ops) {
  KX_RETURN_IF_ERROR(CheckDirectory(files.directory));
  const auto in_dir = [&](const char* name) { return (fs::path(files.directory) / name).string(); };
  KX_ASSIGN_OR_RETURN(ClipBpe clip_tokens, ClipBpe::Load(in_dir("tokenizer")));
  KX_ASSIGN_OR_RETURN(T5Unigram t5_tokens, T5Unigram::Load(in_dir("tokenizer_2")));
  auto model = std::make_unique<Model>(std::move(clip_tokens), std::move(t5_tokens));
  Model& m = *model;
  KX_ASSIGN_OR_RETURN(m.defaults, ReadModelDefaults(in_dir("kontext.json")));
  if (m.defaults.name.empty()) m.defaults.name = fs::path(files.directory).filename().string();
  KX_ASSIGN_OR_RETURN(m.scheduler, ReadSchedulerConfig(in_dir("scheduler/scheduler_config.json")));
  KX_ASSIGN_OR_RETURN(m.dit_config, ReadDitConfig(in_dir("transformer/config.json")));
  KX_ASSIGN_OR_RETURN(m.vae_config, ReadVaeConfig(in_dir("vae/config.json")));
  KX_ASSIGN_OR_RETURN(m.clip_config, ReadClipConfig(in_dir("text_encoder/config.json")));
  KX_ASSIGN_OR_RETURN(m.t5_config, ReadT5Config(in_dir("text_encoder_2/config.json")));
  KX_RETURN_IF_ERROR(CheckConfigsAgree(m.dit_config, m.vae_config, m.clip_config, m.t5_config));
  KX_RETURN_IF_ERROR(CheckVocabularies(m));

  const DitConfig& d = m.dit_config;
  const Part parts[] = {
      {PartPath(files, files.clip, "text_encoder"), ClipDialects(m.clip_config.layers),
       [&](WeightVisitor& v) { VisitClip(m.clip_config, m.clip, v); }},
      {PartPath(files, files.t5, "text_encoder_2"), T5Dialects(),
       [&](WeightVisitor& v) { VisitT5(m.t5_config, m.t5, v); }},
      {PartPath(files, files.vae, "vae"),
       VaeDialects(
           {static_cast<int64_t>(m.vae_config.channels.size()), m.vae_config.blocks_per_level}),
       [&](WeightVisitor& v) { VisitVae(m.vae_config, m.vae, v); }},
      {PartPath(files, files.transformer, "transformer"),
       TransformerDialects({d.depth, d.depth_single, d.hidden, d.mlp}),
       [&](WeightVisitor& v) { VisitDit(m.dit_config, m.dit, v); }},
  };
  for (const Part& part : parts) KX_RETURN_IF_ERROR(LoadPart(part, ops, m));

  std::vector<std::string> paths;
  for (const auto& file : m.files)
    paths.insert(paths.end(), file->files().begin(), file->files().end());
  KX_ASSIGN_OR_RETURN(m.fingerprint, Fingerprint(paths));
  return model;
}

}  // namespace kontext
