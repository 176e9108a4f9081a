#include "model/convert_plan.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <utility>

#include "base/listed.h"
#include "base/version.h"
#include "dit/dit_weights.h"
#include "io/json.h"
#include "model/config_from_shapes.h"
#include "model/fingerprint.h"
#include "model/sha256.h"
#include "tensor/packed_int8.h"
#include "text/clip_encoder.h"
#include "text/t5_encoder.h"
#include "vae/vae.h"
#include "weights/dialect.h"
#include "weights/identify.h"

namespace kontext {
namespace {

constexpr int64_t kTensorAlignment = 64;  // a cache line, and the widest vector
constexpr int64_t kUnitAlignment = 4096;  // a page, so that a block is read by itself
constexpr size_t kMaxListed = 10;         // problems spelled out in a message

int64_t RoundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// The weight tables of the networks, by what the file is.
struct Network {
  std::vector<NameTable> dialects;
  std::function<void(WeightVisitor&)> visit;
  bool int8 = false;  // its blocks' matrices may be kept in 8 bits
};

// Heads and groups stay unknown: they are nothing that a weight file depends on.
Result<Network> NetworkOf(const WeightMap& tensors, const std::string& path) {
  const Identity identity = Identify(tensors);
  switch (identity.family) {
    case Family::kFluxTransformer:
    case Family::kAllInOne: {
      KX_ASSIGN_OR_RETURN(const DitConfig c, DitConfigFromShapes(tensors, path));
      const TransformerNames names{c.depth, c.depth_single, c.hidden, c.mlp};
      const auto visit = [c](WeightVisitor& v) {
        DitWeights weights;
        VisitDit(c, weights, v);
      };
      return Network{TransformerDialects(names), visit, true};
    }
    case Family::kT5: {
      KX_ASSIGN_OR_RETURN(const T5Config c, T5ConfigFromShapes(tensors, path, {}));
      const auto visit = [c](WeightVisitor& v) {
        T5Weights weights;
        VisitT5(c, weights, v);
      };
      return Network{T5Dialects(), visit, true};
    }
    case Family::kClip: {
      KX_ASSIGN_OR_RETURN(const ClipConfig c, ClipConfigFromShapes(tensors, path, {.heads = 1}));
      const auto visit = [c](WeightVisitor& v) {
        ClipWeights weights;
        VisitClip(c, weights, v);
      };
      return Network{ClipDialects(c.layers), visit, false};
    }
    case Family::kFluxVae: {
      KX_ASSIGN_OR_RETURN(const VaeConfig c, VaeConfigFromShapes(tensors, path, {.groups = 1}));
      const VaeNames names{static_cast<int64_t>(c.channels.size()), c.blocks_per_level};
      const auto visit = [c](WeightVisitor& v) {
        VaeWeights weights;
        VisitVae(c, weights, v);
      };
      return Network{VaeDialects(names), visit, false};
    }
    default:
      return BadInput(
          "{}: only FLUX.1's transformer, autoencoder, CLIP-L and T5-XXL can be "
          "converted; this one is {}",
          path, identity.description.empty() ? "none of them" : identity.description);
  }
}

// double_blocks.7 of double_blocks.7.img_mlp.0.weight; empty outside of any block. Modulations are
// needed for all steps before the first block runs, so each of them is a unit before all blocks.
bool IsModulation(const std::string& name) {
  return name.find("_mod.lin.") != std::string::npos ||
         name.find(".modulation.lin.") != std::string::npos ||
         name.find("adaLN_modulation.") != std::string::npos;
}
std::string UnitKey(const std::string& name) {
  if (IsModulation(name)) return name.substr(0, name.rfind('.'));
  for (size_t begin = 0, end; (end = name.find('.', begin)) != std::string::npos; begin = end + 1) {
    const std::string_view part = std::string_view(name).substr(begin, end - begin);
    if (part.find_first_not_of("0123456789") == std::string_view::npos) return name.substr(0, end);
  }
  return {};
}

// Lists a network's tensors in the order of its data flow, and finds each in the source.
class ListVisitor : public WeightVisitor {
 public:
  ListVisitor(TensorSource& source, bool int8) : source_(source), int8_(int8) {}

  void LinearRows(const std::string& name, LinearPtr&, RowRange rows, int64_t out, int64_t in,
                  Bias bias) override {
    if (rows.begin != 0) return;  // a further part of a tensor that is listed
    const std::string weight = name + ".weight";
    Add(weight, {out, in}, int8_ && !IsModulation(weight) && !UnitKey(weight).empty());
    if (bias == Bias::kYes) Add(name + ".bias", {out});
  }
  void Conv(const std::string& name, ConvPtr&, int64_t out, int64_t in, int64_t kernel) override {
    Add(name + ".weight", {out, in, kernel, kernel});
    Add(name + ".bias", {out});
  }
  void Vector(const std::string& name, VectorWeights&, int64_t n) override { Add(name, {n}); }
  void Table(const std::string& name, TableWeights&, int64_t rows, int64_t cols) override {
    Add(name, {rows, cols});
  }

  // kBadInput with everything that is wrong.
  Status Check() {
    for (const std::string& name : source_.Unasked())
      problems_.push_back("unexpected " + Quoted(name));
    if (problems_.empty()) return {};
    return BadInput("{}: {} problems: {}", source_.description(), problems_.size(),
                    Listed(problems_, kMaxListed, "; "));
  }

  std::vector<PackedItem> items;  // one for each tensor of the network

 private:
  void Add(const std::string& name, const Shape& shape, bool int8 = false) {
    PackedItem item;
    item.name = name;
    item.shape = shape;
    item.kind = int8 ? PackedItem::Kind::kInt8 : PackedItem::Kind::kPlain;
    item.rows = shape.rank() < 2 ? 1 : shape[0];
    item.columns = shape.NumElements() / item.rows;
    auto found = source_.Find(name, shape);
    const std::string file_name = Quoted(source_.NameInSource(name));
    if (!found.ok()) return problems_.push_back(found.message());
    if (found->empty()) return problems_.push_back("missing " + file_name + " " + shape.Str());
    bool numbers = true, exact = true;
    std::string got;
    for (const WeightRows& piece : *found) {
      numbers = numbers && (piece.is_encoded() || IsFloat(piece.dense().dtype())) &&
                piece.rank() > 0 && piece.dim(0) > 0;
      exact = exact && !piece.is_encoded() && piece.dense().dtype() == DType::kBF16;
      got += (got.empty() ? "" : " + ") + piece.encoding() + " " + piece.shape().Str();
    }
    if (!numbers || !Stack(*found, shape)) {
      return problems_.push_back(file_name + " is " + got + ", expected " + shape.Str());
    }
    // Vectors are small, and what multiplies or shifts a whole feature: they lose nothing.
    item.dtype = shape.rank() < 2 && !exact ? DType::kF32 : DType::kBF16;
    item.source = *std::move(found);
    items.push_back(std::move(item));
  }

  TensorSource& source_;
  const bool int8_;
  std::vector<std::string> problems_;
};

// Places items one after the other, with padding between them.
class Layout {
 public:
  explicit Layout(ConvertPlan& plan) : plan_(plan) {}

  void Place(PackedItem item, const std::string& unit) {
    if (plan_.items.empty() || unit != unit_) {
      if (!plan_.items.empty()) ++number_;
      unit_ = unit;
      Pad(kUnitAlignment);
    } else {
      Pad(kTensorAlignment);
    }
    Append(std::move(item));
  }
  void Append(PackedItem item) {
    item.unit = number_;
    item.offset = plan_.data_bytes;
    item.bytes = item.shape.NumElements() * SizeOf(item.dtype);
    plan_.data_bytes += item.bytes;
    plan_.items.push_back(std::move(item));
  }

 private:
  void Pad(int64_t alignment) {
    const int64_t gap = RoundUp(plan_.data_bytes, alignment) - plan_.data_bytes;
    if (gap == 0) return;
    PackedItem item;
    item.kind = PackedItem::Kind::kPadding;
    item.name = kPaddingPrefix + std::to_string(plan_.items.size());
    item.dtype = DType::kU8;
    item.shape = {gap};
    Append(std::move(item));
  }

  ConvertPlan& plan_;
  std::string unit_;
  int number_ = 0;
};

// An int8 matrix becomes three tensors.
void PlaceInt8(PackedItem matrix, const std::string& unit, Layout& layout) {
  PackedItem scale, sums;
  scale.kind = PackedItem::Kind::kScale;
  scale.name = matrix.name + kScaleSuffix;
  scale.dtype = DType::kF32;
  scale.shape = {matrix.rows};
  sums.kind = PackedItem::Kind::kSums;
  sums.name = matrix.name + kSumsSuffix;
  sums.dtype = DType::kI32;
  sums.shape = {matrix.rows};
  matrix.dtype = DType::kI8;
  matrix.shape = {PackedInt8::PaddedRows(matrix.rows) / PackedInt8::kRows,
                  PackedInt8::PaddedColumns(matrix.columns) / PackedInt8::kColumns,
                  PackedInt8::kRows, PackedInt8::kColumns};
  layout.Place(std::move(matrix), unit);
  layout.Place(std::move(scale), unit);
  layout.Place(std::move(sums), unit);
}

Result<std::string> PlanId(const ConvertPlan& plan, const std::vector<std::string>& files) {
  KX_ASSIGN_OR_RETURN(std::string text, Fingerprint(files));
  for (const auto& [key, value] : plan.metadata) text += fmt::format("\n{}={}", key, value);
  for (const PackedItem& i : plan.items) {
    text += fmt::format("\n{} {} {} {}", i.name, Name(i.dtype), i.shape.Str(), i.offset);
  }
  Sha256 sha;
  sha.Add(std::as_bytes(std::span(text)));
  return sha.Take();
}

}  // namespace

Result<ConvertPlan> PlanConversion(const WeightFile& file, const std::string& path,
                                   Packing packing) {
  KX_ASSIGN_OR_RETURN(const Network network, NetworkOf(file.tensors(), path));
  KX_ASSIGN_OR_RETURN(const auto source,
                      CheckpointSource::Create(file.tensors(), path, network.dialects));
  ListVisitor list(*source, network.int8 && packing == Packing::kInt8);
  network.visit(list);
  KX_RETURN_IF_ERROR(list.Check());
  // The modulations of all blocks come before the first block.
  const auto first_block =
      std::find_if(list.items.begin(), list.items.end(), [](const PackedItem& item) {
        return !IsModulation(item.name) && !UnitKey(item.name).empty();
      });
  std::stable_partition(first_block, list.items.end(),
                        [](const PackedItem& item) { return IsModulation(item.name); });

  ConvertPlan plan;
  plan.source = path;
  plan.files = file.files();
  plan.tensors = static_cast<int64_t>(list.items.size());
  Layout layout(plan);
  for (PackedItem& item : list.items) {
    for (const WeightRows& piece : item.source) {
      std::vector<ByteSpan> spans;
      piece.Touches(spans);
      for (const ByteSpan& span : spans) plan.source_bytes += static_cast<int64_t>(span.size());
    }
    const std::string unit = UnitKey(item.name);
    if (item.kind == PackedItem::Kind::kInt8) {
      PlaceInt8(std::move(item), unit, layout);
    } else {
      layout.Place(std::move(item), unit);
    }
  }
  plan.metadata = {{kPackedKey, kPackedVersion},
                   {"written_by", kVersion},
                   {"target", packing == Packing::kInt8 ? "int8" : "bf16"},
                   {"source", std::filesystem::path(path).filename().string()}};
  KX_ASSIGN_OR_RETURN(plan.id, PlanId(plan, file.files()));
  plan.metadata["plan"] = plan.id;
  // Every checksum has 64 digits: with any of them the header is as long as it will be.
  PackedIndex index;
  for (const PackedItem& item : plan.items) {
    if (item.kind != PackedItem::Kind::kPadding) {
      index[item.name] = EntryFor(item, std::string(64, '0'));
    }
  }
  plan.header_bytes = static_cast<int64_t>(PackedHeader(plan, index).size());
  return plan;
}

PackedEntry EntryFor(const PackedItem& item, const std::string& sha256) {
  PackedEntry entry;
  entry.sha256 = sha256;
  if (item.kind == PackedItem::Kind::kInt8) {
    entry.rows = item.rows;
    entry.columns = item.columns;
    entry.rotation = PackedInt8::RotationFor(item.columns);
  }
  return entry;
}

std::string PackedHeader(const ConvertPlan& plan, const PackedIndex& index) {
  Json header = Json::object();
  header["__metadata__"] = plan.metadata;
  header["__metadata__"]["tensors"] = WritePackedIndex(index);
  for (const PackedItem& item : plan.items) {
    std::vector<int64_t> sizes;
    for (int i = 0; i < item.shape.rank(); ++i) sizes.push_back(item.shape[i]);
    header[item.name] = {{"dtype", Name(item.dtype)},
                         {"shape", sizes},
                         {"data_offsets", {item.offset, item.offset + item.bytes}}};
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  constexpr size_t kPrefix = 8;  // the length of the text
  text.resize(
      static_cast<size_t>(RoundUp(static_cast<int64_t>(kPrefix + text.size()), kUnitAlignment)) -
          kPrefix,
      ' ');
  std::string prefix;
  for (size_t i = 0; i < kPrefix; ++i) {
    prefix.push_back(static_cast<char>((text.size() >> (8 * i)) & 0xFF));
  }
  return prefix + text;
}

}  // namespace kontext
