#include "model/check_part.h"

#include <filesystem>
#include <functional>
#include <set>

#include "base/listed.h"
#include "dit/dit_weights.h"
#include "io/json.h"
#include "model/config_from_shapes.h"
#include "weights/dialect.h"

namespace kontext {
namespace {

struct PartFile {
  const WeightMap& tensors;
  const std::string& path;
  const std::string& configs;
};

// What the folder's config file says, else FLUX.1's constants.
template <class Config>
Result<Config> Known(const PartFile& file, Part part,
                     Result<Config> (*read)(const std::string& path)) {
  namespace fs = std::filesystem;
  const fs::path path = fs::path(file.configs) / TraitsOf(part).folder / "config.json";
  std::error_code ec;
  if (file.configs.empty() || !fs::exists(path, ec)) return Config{};
  return read(path.string());
}

// Asks for every tensor of a weight table and prepares none: a look at a file of any size.
class Asker : public WeightVisitor {
 public:
  explicit Asker(TensorSource& source) : source_(source) {}
  void LinearRows(const std::string& name, LinearPtr&, RowRange, int64_t out, int64_t in,
                  Bias bias) override {
    Ask(name + ".weight", {out, in});
    if (bias == Bias::kYes) Ask(name + ".bias", {out});
  }
  void Conv(const std::string& name, ConvPtr&, int64_t out, int64_t in, int64_t kernel) override {
    Ask(name + ".weight", {out, in, kernel, kernel});
    Ask(name + ".bias", {out});
  }
  void Vector(const std::string& name, VectorWeights&, int64_t n) override { Ask(name, {n}); }
  void Table(const std::string& name, TableWeights&, int64_t rows, int64_t cols) override {
    Ask(name, {rows, cols});
  }

  Status status() const {
    if (problems_.empty()) return {};
    constexpr size_t kMost = 5;
    return BadInput("{}: {} of the {} tensors needed are missing or of another shape: {}",
                    source_.description(), problems_.size(), asked_.size(),
                    Listed(problems_, kMost, "; "));
  }

 private:
  void Ask(const std::string& name, const Shape& shape) {
    if (!asked_.insert(name).second) return;
    auto pieces = source_.Find(name, shape);
    const std::string in_file = Quoted(source_.NameInSource(name));
    if (!pieces.ok()) {
      problems_.push_back(pieces.message());
    } else if (pieces->empty()) {
      problems_.push_back(fmt::format("missing {} {}", in_file, shape.Str()));
    } else if (const Shape got = pieces->front().shape(); !Stack(*pieces, shape)) {
      problems_.push_back(fmt::format("{} is {}, expected {}", in_file, got.Str(), shape.Str()));
    }
  }

  TensorSource& source_;
  std::set<std::string> asked_;
  std::vector<std::string> problems_;
};

Status CheckAll(const PartFile& file, const std::vector<NameTable>& dialects,
                const std::function<void(WeightVisitor&)>& visit) {
  KX_ASSIGN_OR_RETURN(const auto source,
                      CheckpointSource::Create(file.tensors, file.path, dialects));
  Asker asker(*source);
  visit(asker);
  return asker.status();
}

Result<PartWidths> CheckTransformer(const PartFile& file) {
  KX_ASSIGN_OR_RETURN(const DitConfig c, DitConfigFromShapes(file.tensors, file.path));
  DitWeights weights;
  KX_RETURN_IF_ERROR(CheckAll(file, TransformerDialects({c.depth, c.depth_single, c.hidden, c.mlp}),
                              [&](WeightVisitor& v) { VisitDit(c, weights, v); }));
  return PartWidths{.context = c.context, .pooled = c.vec, .latents = c.in_channels / 4};
}

Result<PartWidths> CheckVae(const PartFile& file) {
  KX_ASSIGN_OR_RETURN(const VaeConfig known, Known<VaeConfig>(file, Part::kVae, ReadVaeConfig));
  KX_ASSIGN_OR_RETURN(const VaeConfig c, VaeConfigFromShapes(file.tensors, file.path, known));
  VaeWeights weights;
  const auto levels = static_cast<int64_t>(c.channels.size());
  KX_RETURN_IF_ERROR(CheckAll(file, VaeDialects({levels, c.blocks_per_level}),
                              [&](WeightVisitor& v) { VisitVae(c, weights, v); }));
  return PartWidths{.latents = c.latent_channels};
}

Result<PartWidths> CheckClip(const PartFile& file) {
  KX_ASSIGN_OR_RETURN(const ClipConfig known, Known<ClipConfig>(file, Part::kClip, ReadClipConfig));
  KX_ASSIGN_OR_RETURN(const ClipConfig c, ClipConfigFromShapes(file.tensors, file.path, known));
  ClipWeights weights;
  KX_RETURN_IF_ERROR(
      CheckAll(file, ClipDialects(c.layers), [&](WeightVisitor& v) { VisitClip(c, weights, v); }));
  return PartWidths{.pooled = c.hidden, .vocab = c.vocab};
}

Result<PartWidths> CheckT5(const PartFile& file) {
  KX_ASSIGN_OR_RETURN(const T5Config known, Known<T5Config>(file, Part::kT5, ReadT5Config));
  KX_ASSIGN_OR_RETURN(const T5Config c, T5ConfigFromShapes(file.tensors, file.path, known));
  T5Weights weights;
  KX_RETURN_IF_ERROR(
      CheckAll(file, T5Dialects(), [&](WeightVisitor& v) { VisitT5(c, weights, v); }));
  return PartWidths{.context = c.model, .vocab = c.vocab};
}

}  // namespace

Result<PartWidths> CheckPart(Part part, const WeightMap& tensors, const std::string& path,
                             const std::string& configs) {
  const PartFile file{tensors, path, configs};
  switch (part) {
    case Part::kClip:
      return CheckClip(file);
    case Part::kT5:
      return CheckT5(file);
    case Part::kVae:
      return CheckVae(file);
    case Part::kTransformer:
      break;
  }
  return CheckTransformer(file);
}

}  // namespace kontext
