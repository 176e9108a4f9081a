#include "weights/adapter_names.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace kontext {
namespace {

// What programs write before a product's name.
struct Prefix {
  AdaptedNetwork network;
  bool flat;  // the name after it has underscores for dots
  std::string_view text;
};
constexpr Prefix kPrefixes[] = {
    {AdaptedNetwork::kTransformer, false, "transformer."},
    {AdaptedNetwork::kTransformer, false, "diffusion_model."},
    {AdaptedNetwork::kTransformer, false, "model.diffusion_model."},
    {AdaptedNetwork::kTransformer, false, "base_model.model.transformer."},
    {AdaptedNetwork::kTransformer, false, "base_model.model."},
    {AdaptedNetwork::kTransformer, false, "unet."},
    {AdaptedNetwork::kTransformer, false, ""},
    {AdaptedNetwork::kTransformer, true, "lora_unet_"},
    {AdaptedNetwork::kTransformer, true, "lora_transformer_"},
    {AdaptedNetwork::kTransformer, true, "lycoris_"},
    {AdaptedNetwork::kClip, false, "text_encoder."},
    {AdaptedNetwork::kClip, false, "base_model.model.text_encoder."},
    {AdaptedNetwork::kClip, false, "text_encoders.clip_l.transformer."},
    {AdaptedNetwork::kClip, false, "clip_l.transformer."},
    {AdaptedNetwork::kClip, true, "lora_te_"},
    {AdaptedNetwork::kClip, true, "lora_te1_"},
    {AdaptedNetwork::kClip, true, "lycoris_te1_"},
    {AdaptedNetwork::kT5, false, "text_encoder_2."},
    {AdaptedNetwork::kT5, false, "text_encoders.t5xxl.transformer."},
    {AdaptedNetwork::kT5, false, "t5xxl.transformer."},
    {AdaptedNetwork::kT5, true, "lora_te3_"},  // kohya, stable-diffusion.cpp
    {AdaptedNetwork::kT5, true, "lora_te2_"},  // Forge, OneTrainer
    {AdaptedNetwork::kT5, true, "lycoris_te3_"},
};

constexpr std::string_view kWeight = ".weight";

std::string Flattened(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

// Notes every product with its size.
class ProductVisitor : public WeightVisitor {
 public:
  void LinearRows(const std::string& name, LinearPtr&, RowRange rows, int64_t out, int64_t in,
                  Bias bias) override {
    if (rows.begin > 0) return;  // a further part of the same tensor
    products.push_back({name, out, in, bias == Bias::kYes, {{0, {0, out}}}});
  }
  void Conv(const std::string&, ConvPtr&, int64_t, int64_t, int64_t) override {}
  void Vector(const std::string&, VectorWeights&, int64_t) override {}
  void Table(const std::string&, TableWeights&, int64_t, int64_t) override {}

  std::vector<AdapterTarget> products;
};

// Older names of CLIP's four attention products (Diffusers' first LoRA files).
constexpr std::pair<std::string_view, std::string_view> kOldClip[] = {
    {".q_proj", ".to_q"}, {".k_proj", ".to_k"}, {".v_proj", ".to_v"}, {".out_proj", ".to_out"}};

}  // namespace

void AdapterNames::AddName(AdaptedNetwork network, const std::string& name,
                           const AdapterTarget& target, const std::string& dialect) {
  if (!dotted_[network].try_emplace(name, Named{target, dialect}).second) return;
  flat_[network].try_emplace(Flattened(name), name);
  constexpr std::string_view kIndexed = ".to_out.0";  // often written without the index
  if (name.ends_with(kIndexed)) AddName(network, name.substr(0, name.size() - 2), target, dialect);
  if (network != AdaptedNetwork::kClip) return;
  for (const auto& [now, before] : kOldClip) {
    if (name.ends_with(now)) {
      const std::string old = name.substr(0, name.size() - now.size()) + std::string(before);
      AddName(network, old, target, dialect);
    }
  }
}

// The dialect's table says which rows of which of its tensors make up our weight; read the other
// way round, it says where the rows of each of its tensors go.
void AdapterNames::AddDialect(AdaptedNetwork network, const NameTable& dialect,
                              const AdapterTarget& whole) {
  const auto at = dialect.names.find(whole.layer + std::string(kWeight));
  if (at == dialect.names.end()) {
    if (dialect.canonical) AddName(network, whole.layer, whole, dialect.dialect);
    return;
  }
  for (const FileParts& parts : at->second) {
    std::map<std::string, AdapterTarget> targets;  // by the file's name
    int64_t row = 0;
    for (const FilePart& part : parts) {
      const int64_t rows = part.rows == 0 ? whole.rows : part.rows;
      const RowRange range = part.rows == 0 ? RowRange{0, rows} : part.range;
      AdapterTarget& target = targets[part.name];
      target.layer = whole.layer;
      target.rows = rows;
      target.columns = whole.columns;
      target.has_bias = whole.has_bias;
      target.pieces.push_back({row, range});
      row += range.end - range.begin;
    }
    for (const auto& [name, target] : targets) {
      if (!name.ends_with(kWeight)) continue;
      AddName(network, name.substr(0, name.size() - kWeight.size()), target, dialect.dialect);
    }
  }
}

// XLabs-AI's x-flux names the attention "processor" of a block (spec lora 3): the last number is
// the stream, and in a single block the attention's rows are the first 3 D of linear1.
void AdapterNames::AddXLabs(const AdapterTarget& whole) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {".img_attn.qkv", ".processor.qkv_lora1"},
      {".txt_attn.qkv", ".processor.qkv_lora2"},
      {".img_attn.proj", ".processor.proj_lora1"},
      {".txt_attn.proj", ".processor.proj_lora2"},
      {".linear1", ".processor.qkv"},  // "_lora" is part of the key's ending
      {".linear2", ".processor.proj"}};
  for (const auto& [ours, theirs] : kNames) {
    if (!whole.layer.ends_with(ours)) continue;
    AdapterTarget target = whole;
    if (ours == ".linear1") {
      target.rows = std::min(3 * whole.columns, whole.rows);
      target.pieces = {{0, {0, target.rows}}};
    }
    std::string name = whole.layer.substr(0, whole.layer.size() - ours.size());
    name += theirs;
    AddName(AdaptedNetwork::kTransformer, name, target, "XLabs");
  }
}

void AdapterNames::Add(AdaptedNetwork network, const std::function<void(WeightVisitor&)>& visit,
                       const std::vector<NameTable>& dialects) {
  ProductVisitor visitor;
  visit(visitor);
  for (const AdapterTarget& whole : visitor.products) {
    for (const NameTable& dialect : dialects) AddDialect(network, dialect, whole);
    if (network == AdaptedNetwork::kTransformer) AddXLabs(whole);
  }
}

AdapterNames::Match AdapterNames::Find(const std::string& module) const {
  for (const Prefix& prefix : kPrefixes) {
    if (!module.starts_with(prefix.text)) continue;
    const auto names = dotted_.find(prefix.network);
    if (names == dotted_.end()) continue;
    std::string product = module.substr(prefix.text.size());
    if (prefix.flat) {
      const auto& flat = flat_.at(prefix.network);
      const auto at = flat.find(product);
      if (at == flat.end()) continue;
      product = at->second;
    }
    const auto at = names->second.find(product);
    if (at == names->second.end()) continue;
    return {&at->second.target, prefix.network, std::string(prefix.text), std::move(product),
            at->second.dialect};
  }
  return {};
}

}  // namespace kontext
