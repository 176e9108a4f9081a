#include "model/model.h"

#include <filesystem>
#include <functional>
#include <span>

#include "base/process_memory.h"
#include "io/mapped_ranges.h"
#include "model/fingerprint.h"
#include "weights/dialect.h"
#include "weights/loader.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

// What one network needs to be loaded: where, under which names, and its weight table.
struct Network {
  Part part;
  std::vector<NameTable> dialects;
  std::function<void(WeightVisitor&)> visit;
};

Result<WeightSpans> LoadNetwork(const Network& network, const Parts& parts,
                                const Adapters& adapters, Copies copies, Ops& ops) {
  const PartSource& from = parts.of(network.part);
  KX_ASSIGN_OR_RETURN(const auto source,
                      CheckpointSource::Create(from.file->tensors(), from.path, network.dialects));
  AdaptedSource adapted = adapters.On(*source);
  WeightSpans spans;
  KX_RETURN_IF_ERROR(LoadWeights(network.visit, adapted, ops, {copies, &spans}));
  spans.Release();  // what loading has read of them
  return spans;
}

// What fits into three quarters of the memory there is: a layout of the backend's own, or at least
// the weights in 8 bits for Mode::kDefault.
Copies CopiesThatFit(const Network& network, const Ops& ops, int64_t memory_limit) {
  const int64_t numbers = CountWeights(network.visit).parameters;
  const int64_t room = (memory_limit > 0 ? memory_limit : AvailableBytes()) / 4 * 3;
  if (numbers * ops.CopyBytesPerWeight() <= room) return Copies::kAll;
  return numbers <= room ? Copies::kInt8 : Copies::kNone;
}

std::vector<std::string> PathsOf(std::span<const WeightFile* const> files) {
  std::vector<std::string> paths;
  for (const WeightFile* file : files) {
    paths.insert(paths.end(), file->files().begin(), file->files().end());
  }
  return paths;
}

Result<Adapters> OpenAdapters(const ModelFiles& files, std::span<const Network> networks) {
  AdapterNames names;
  for (const Network& n : networks) {
    if (files.loras.empty() || n.part == Part::kVae) continue;  // no adapter is for the autoencoder
    names.Add(n.part == Part::kTransformer ? AdaptedNetwork::kTransformer
              : n.part == Part::kClip      ? AdaptedNetwork::kClip
                                           : AdaptedNetwork::kT5,
              n.visit, n.dialects);
  }
  return Adapters::Open(files.loras, files.merge_loras, names);
}

// An encoder may have some more rows than the tokenizer has tokens (T5's are padded to a multiple
// of 128), but not twice as many.
Status CheckVocabulary(const char* tokenizer, int64_t tokens, const char* encoder, int64_t rows) {
  if (tokens <= rows && rows <= 2 * tokens) return Status();
  return BadInput(
      "{} has {} tokens, {} {}; are they of one model? Name the folder of the model's own "
      "tokenizers with --tokenizers",
      tokenizer, tokens, encoder, rows);
}

std::string NameOf(const Parts& parts) {
  const PartSource& transformer = parts.of(Part::kTransformer);
  const fs::path path = transformer.path;
  return transformer.in_directory ? path.parent_path().filename().string() : path.stem().string();
}

}  // namespace

void Model::ReleaseTextEncoders() const {
  clip_pages.Release();
  t5_pages->spans().Release();
}

Result<std::unique_ptr<Model>> OpenModel(const ModelFiles& files, Ops& ops, int64_t memory_limit) {
  KX_ASSIGN_OR_RETURN(Parts parts, OpenParts(files));
  KX_ASSIGN_OR_RETURN(const PartConfigs configs, ReadPartConfigs(parts));
  const fs::path tokenizers = parts.tokenizers;
  KX_ASSIGN_OR_RETURN(ClipBpe clip_tokens, ClipBpe::Load((tokenizers / "tokenizer").string()));
  KX_ASSIGN_OR_RETURN(T5Unigram t5_tokens, T5Unigram::Load((tokenizers / "tokenizer_2").string()));
  auto model = std::make_unique<Model>(std::move(clip_tokens), std::move(t5_tokens));
  Model& m = *model;
  m.defaults = configs.defaults;
  if (m.defaults.name.empty()) m.defaults.name = NameOf(parts);
  m.scheduler = configs.scheduler;
  m.dit_config = configs.dit;
  m.vae_config = configs.vae;
  m.clip_config = configs.clip;
  m.t5_config = configs.t5;
  KX_RETURN_IF_ERROR(CheckConfigsAgree(m.dit_config, m.vae_config, m.clip_config, m.t5_config));
  KX_RETURN_IF_ERROR(CheckVocabulary("tokenizer", m.clip_tokens.vocab_size(), "text_encoder",
                                     m.clip_config.vocab));
  KX_RETURN_IF_ERROR(CheckVocabulary("tokenizer_2", m.t5_tokens.vocab_size(), "text_encoder_2",
                                     m.t5_config.vocab));
  const PartSource& transformer = parts.of(Part::kTransformer);
  m.variant = TellVariant("", 0, transformer.file->metadata(), transformer.path);

  const DitConfig& d = m.dit_config;
  const int64_t vae_levels = static_cast<int64_t>(m.vae_config.channels.size());
  const Network networks[] = {
      {Part::kClip, ClipDialects(m.clip_config.layers),
       [&](WeightVisitor& v) { VisitClip(m.clip_config, m.clip, v); }},
      {Part::kT5, T5Dialects(), [&](WeightVisitor& v) { VisitT5(m.t5_config, m.t5, v); }},
      {Part::kVae, VaeDialects({vae_levels, m.vae_config.blocks_per_level}),
       [&](WeightVisitor& v) { VisitVae(m.vae_config, m.vae, v); }},
      {Part::kTransformer, TransformerDialects({d.depth, d.depth_single, d.hidden, d.mlp}),
       [&](WeightVisitor& v) { VisitDit(m.dit_config, m.dit, v); }},
  };
  KX_ASSIGN_OR_RETURN(m.adapters, OpenAdapters(files, networks));
  m.defaults.few_step = m.adapters.few_step();
  for (const Network& network : networks) {
    const bool text = network.part == Part::kClip || network.part == Part::kT5;
    const Copies copies = text ? Copies::kNone : CopiesThatFit(network, ops, memory_limit);
    KX_ASSIGN_OR_RETURN(WeightSpans pages, LoadNetwork(network, parts, m.adapters, copies, ops));
    if (network.part == Part::kClip) {
      m.clip_pages = std::move(pages);
    } else if (network.part == Part::kT5) {
      KX_ASSIGN_OR_RETURN(m.t5_pages, Residency::Create(std::move(pages)));
    } else if (network.part == Part::kTransformer) {
      KX_ASSIGN_OR_RETURN(m.dit_pages, Residency::Create(std::move(pages)));
    }
  }
  m.t5.watch = m.t5_pages.get();
  m.dit.watch = m.dit_pages.get();

  std::vector<const WeightFile*> all;
  for (const auto& file : parts.files) all.push_back(file.get());
  m.paths = PathsOf(all);
  KX_ASSIGN_OR_RETURN(m.fingerprint, Fingerprint(m.paths));
  const WeightFile* const text[] = {parts.of(Part::kClip).file, parts.of(Part::kT5).file};
  KX_ASSIGN_OR_RETURN(m.text_fingerprint, Fingerprint(PathsOf(text)));
  KX_RETURN_IF_ERROR(CheckUnchanged(m.paths));
  m.files = std::move(parts.files);
  return model;
}

}  // namespace kontext
