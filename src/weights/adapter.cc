#include "weights/adapter.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "io/json.h"
#include "weights/adapter_keys.h"
#include "weights/adapter_scale.h"

namespace kontext {
namespace {

using enum AdapterRole;

// One module of the file becomes a term, or the reason why not. The roles that were made use of
// leave the module.
class TermMaker {
 public:
  TermMaker(AdapterModule& module, const AdapterNames::Match& match, const AdapterScale& scale)
      : module_(module), match_(match), scale_(scale) {
    term_.target = *match.target;
  }

  Result<AdapterTerm> Make() {
    if (Has(kDown) || Has(kUp)) {
      KX_RETURN_IF_ERROR(LowRank());
    } else if (Has(kHada1a) || Has(kHada1b) || Has(kHada2a) || Has(kHada2b)) {
      KX_RETURN_IF_ERROR(Hadamard());
    } else if (Has(kLokr1) || Has(kLokr1a) || Has(kLokr1b)) {
      KX_RETURN_IF_ERROR(Kronecker());
    } else if (Has(kDiff)) {
      KX_ASSIGN_OR_RETURN(const ConstTensorView difference, Take(kDiff));
      KX_RETURN_IF_ERROR(CheckSize(difference.dim(0), difference.dim(1), kDiff));
      term_.delta = std::make_shared<FullDelta>(difference);
    }
    KX_RETURN_IF_ERROR(Magnitude());
    KX_RETURN_IF_ERROR(Bias());
    if (term_.delta == nullptr && term_.bias.empty()) {
      return BadInput("has no pair of matrices, and no difference");
    }
    for (const AdapterRole role : used_) module_.erase(role);
    return std::move(term_);
  }

 private:
  bool Has(AdapterRole role) const { return module_.contains(role); }

  // The matrix in that role; of a 1x1 convolution's [N,K,1,1] the same numbers.
  Result<ConstTensorView> Take(AdapterRole role) {
    const auto at = module_.find(role);
    if (at == module_.end()) return BadInput("lacks its other half");
    const auto& [key, tensor] = *at->second;
    used_.push_back(role);
    if (!IsFloat(tensor.dtype())) {
      return BadInput("{} is {}, expected F32, BF16 or F16", Quoted(key), Name(tensor.dtype()));
    }
    ConstTensorView matrix = tensor;
    if (matrix.rank() == 4 && matrix.dim(2) == 1 && matrix.dim(3) == 1) {
      matrix = matrix.Reshaped({matrix.dim(0), matrix.dim(1)});
    }
    if (matrix.rank() != 2 || matrix.dim(0) == 0 || matrix.dim(1) == 0) {
      return BadInput("{} is {}, expected a matrix", Quoted(key), tensor.shape().Str());
    }
    return matrix;
  }

  Status CheckSize(int64_t rows, int64_t columns, AdapterRole role) const {
    if (rows == term_.target.rows && columns == term_.target.columns) return {};
    return BadInput("{} makes it [{},{}], expected [{},{}]", Quoted(module_.at(role)->first), rows,
                    columns, term_.target.rows, term_.target.columns);
  }

  // up . down, whose inner sizes agree. The rank's limit bounds the work: more is never needed.
  Result<Factors> Pair(AdapterRole up, AdapterRole down) {
    Factors f;
    KX_ASSIGN_OR_RETURN(f.up, Take(up));
    KX_ASSIGN_OR_RETURN(f.down, Take(down));
    const int64_t limit = std::max(term_.target.rows, term_.target.columns);
    if (f.up.dim(1) != f.down.dim(0) || f.down.dim(0) > limit) {
      return BadInput("{} is {} and {} is {}: no product of rank 1 to {}",
                      Quoted(module_.at(up)->first), f.up.shape().Str(),
                      Quoted(module_.at(down)->first), f.down.shape().Str(), limit);
    }
    return f;
  }

  Status LowRank() {
    KX_ASSIGN_OR_RETURN(const Factors f, Pair(kUp, kDown));
    KX_RETURN_IF_ERROR(CheckSize(f.up.dim(0), f.down.dim(1), kUp));
    term_.delta = std::make_shared<LowRankDelta>(f);
    return SetFactor(f.down.dim(0));
  }

  Status Hadamard() {
    KX_ASSIGN_OR_RETURN(const Factors a, Pair(kHada1a, kHada1b));
    KX_ASSIGN_OR_RETURN(const Factors b, Pair(kHada2a, kHada2b));
    KX_RETURN_IF_ERROR(CheckSize(a.up.dim(0), a.down.dim(1), kHada1a));
    KX_RETURN_IF_ERROR(CheckSize(b.up.dim(0), b.down.dim(1), kHada2a));
    term_.delta = std::make_shared<HadamardDelta>(a, b);
    return SetFactor(a.down.dim(0));
  }

  // One of LoKr's two matrices, as the file has it.
  struct Side {
    ConstTensorView whole;  // or empty, and then
    Factors factors;
    int64_t rows() const { return whole.empty() ? factors.up.dim(0) : whole.dim(0); }
    int64_t columns() const { return whole.empty() ? factors.down.dim(1) : whole.dim(1); }
  };
  Result<Side> TakeSide(AdapterRole whole, AdapterRole up, AdapterRole down) {
    Side side;
    if (Has(whole)) {
      KX_ASSIGN_OR_RETURN(side.whole, Take(whole));
    } else {
      KX_ASSIGN_OR_RETURN(side.factors, Pair(up, down));
    }
    return side;
  }
  static Result<Tensor> Dense(const Side& side) {
    if (side.whole.empty()) return MultiplyOut(side.factors);
    KX_ASSIGN_OR_RETURN(Tensor dense, Tensor::Allocate(DType::kF32, side.whole.shape()));
    WeightRows(side.whole).DecodeAll(dense.view().As<float>());
    return dense;
  }

  // With both matrices whole, alpha means nothing (spec lora 1: trainers store huge numbers there).
  Status Kronecker() {
    KX_ASSIGN_OR_RETURN(const Side a, TakeSide(kLokr1, kLokr1a, kLokr1b));
    KX_ASSIGN_OR_RETURN(const Side b, TakeSide(kLokr2, kLokr2a, kLokr2b));
    const AdapterTarget& t = term_.target;
    // Divided, not multiplied: the sizes come from a file.
    if (t.rows % a.rows() != 0 || t.rows / a.rows() != b.rows() || t.columns % a.columns() != 0 ||
        t.columns / a.columns() != b.columns()) {
      return BadInput(
          "its two matrices are [{},{}] and [{},{}]: their Kronecker product is not [{},{}]",
          a.rows(), a.columns(), b.rows(), b.columns(), t.rows, t.columns);
    }
    KX_ASSIGN_OR_RETURN(Tensor first, Dense(a));
    KX_ASSIGN_OR_RETURN(Tensor second, Dense(b));
    term_.delta = std::make_shared<KroneckerDelta>(std::move(first), std::move(second));
    if (b.whole.empty()) return SetFactor(b.factors.down.dim(0));
    if (a.whole.empty()) return SetFactor(a.factors.down.dim(0));
    if (Has(kAlpha)) used_.push_back(kAlpha);
    return {};
  }

  // A number of the file: one element of any shape.
  Result<double> Scalar(AdapterRole role) {
    const auto& [key, tensor] = *module_.at(role);
    used_.push_back(role);
    double value = NAN;
    if (tensor.shape().NumElements() == 1) {
      if (IsFloat(tensor.dtype())) {
        float number = 0;
        WeightRows(tensor.Reshaped({1})).DecodeAll(&number);
        value = double{number};
      } else if (tensor.dtype() == DType::kF64) {
        value = *tensor.As<double>();
      } else if (tensor.dtype() == DType::kI64) {
        value = static_cast<double>(*tensor.As<int64_t>());
      }
    }
    if (std::isfinite(value)) return value;
    return BadInput("{} is {} {}, expected one finite number", Quoted(key), Name(tensor.dtype()),
                    tensor.shape().Str());
  }

  Status SetFactor(int64_t rank) {
    double factor = 1;
    if (Has(kScale)) {
      KX_ASSIGN_OR_RETURN(factor, Scalar(kScale));
    } else if (Has(kAlpha)) {
      KX_ASSIGN_OR_RETURN(const double alpha, Scalar(kAlpha));
      factor = alpha / static_cast<double>(rank);
    } else {
      const std::string part =
          match_.network == AdaptedNetwork::kTransformer ? "transformer" : "text_encoder";
      factor = scale_.Factor(part, match_.product, rank);
    }
    term_.factor = static_cast<float>(factor);
    if (std::isfinite(term_.factor)) return {};
    return BadInput("its scale {} is beyond any use", factor);
  }

  // [rows], [rows,1] or [1,columns], with or without further ones (LyCORIS, PEFT).
  Status Magnitude() {
    if (!Has(kMagnitude)) return {};
    if (term_.delta == nullptr) return BadInput("has a DoRA magnitude, but nothing beside it");
    const auto& [key, tensor] = *module_.at(kMagnitude);
    used_.push_back(kMagnitude);
    const AdapterTarget& t = term_.target;
    const int64_t n = tensor.shape().NumElements();
    const bool of_columns =
        tensor.rank() >= 2 && tensor.dim(0) == 1 && tensor.dim(1) == t.columns && n == t.columns;
    const bool of_rows = tensor.rank() >= 1 && tensor.dim(0) == t.rows && n == t.rows;
    if (!IsFloat(tensor.dtype()) || (!of_columns && !of_rows)) {
      return BadInput("{} is {} {}, expected [{},1] or [1,{}]", Quoted(key), Name(tensor.dtype()),
                      tensor.shape().Str(), t.rows, t.columns);
    }
    term_.magnitude_of_rows = of_rows;
    term_.magnitude = Vector(tensor, n);
    return {};
  }

  static std::vector<float> Vector(const ConstTensorView& tensor, int64_t n) {
    std::vector<float> values(static_cast<size_t>(n));
    WeightRows(tensor.Reshaped({n})).DecodeAll(values.data());
    return values;
  }

  Status Bias() {
    for (const AdapterRole role : {kUpBias, kDiffBias}) {
      if (!Has(role)) continue;
      const auto& [key, tensor] = *module_.at(role);
      const int64_t rows = term_.target.rows;
      if (!term_.target.has_bias) return BadInput("{}: the layer has no bias", Quoted(key));
      if (!IsFloat(tensor.dtype()) || tensor.rank() != 1 || tensor.dim(0) != rows) {
        return BadInput("{} is {} {}, expected [{}]", Quoted(key), Name(tensor.dtype()),
                        tensor.shape().Str(), rows);
      }
      used_.push_back(role);
      const std::vector<float> values = Vector(tensor, rows);
      term_.bias.resize(values.size());
      for (size_t i = 0; i < values.size(); ++i) term_.bias[i] += values[i];
    }
    return {};
  }

  AdapterModule& module_;
  const AdapterNames::Match& match_;
  const AdapterScale& scale_;
  AdapterTerm term_;
  std::vector<AdapterRole> used_;
};

// Control and Fill LoRAs widen img_in (spec weights 2: 128 and 384 channels).
Status RefuseOtherVariants(const AdapterModule& module, const AdapterTarget& target,
                           const std::string& file) {
  if (target.layer != "img_in") return {};
  for (const AdapterRole role : {kDown, kDiff}) {
    const auto at = module.find(role);
    if (at == module.end() || at->second->second.rank() < 2) continue;
    const int64_t width = at->second->second.dim(1);
    if (width == target.columns || (width != 128 && width != 384)) continue;
    return BadInput(
        "{}: is an adapter for FLUX.1 {}, whose img_in takes {} channels; this model's takes {}. "
        "Take one that was trained for FLUX.1 [dev] or Kontext",
        file, width == 128 ? "Canny or Depth (control)" : "Fill", width, target.columns);
  }
  return {};
}

std::string FamilyOf(const AdapterNames::Match& match, const AdapterModule& module) {
  const bool lycoris = module.contains(kLokr1) || module.contains(kLokr1a) ||
                       module.contains(kHada1a) || match.prefix.starts_with("lycoris_");
  if (match.dialect == "XLabs") return match.dialect;
  if (lycoris) return "LyCORIS";
  if (match.prefix == "lora_unet_") return "kohya";
  if (match.prefix == "lora_transformer_") return "OneTrainer";
  if (match.prefix.ends_with("diffusion_model.")) return "ComfyUI";
  if (match.prefix == "transformer.") return "Diffusers";
  if (match.dialect == "BFL") return match.prefix.empty() ? "BFL" : "fal Kontext";
  return match.network == AdaptedNetwork::kTransformer ? "PEFT" : "text encoder";
}

class Parser {
 public:
  Parser(const AdapterFile& file, const AdapterNames& names) : file_(file), names_(names) {
    out_.file = file.name;
    out_.keys = static_cast<int64_t>(file.tensors.size());
  }

  Result<Adapter> Parse() {
    KX_ASSIGN_OR_RETURN(AdapterKeys keys, SortKeys(file_.tensors, file_.name));
    KX_ASSIGN_OR_RETURN(scale_, AdapterScale::Read(file_.metadata, file_.config, file_.name));
    out_.unused = std::move(keys.unknown);
    // Diffusers' own names, if there are any, are all that such a file means; kohya's beside them
    // are leftovers of a conversion (spec lora 2, "mixed").
    const bool diffusers = std::any_of(keys.modules.begin(), keys.modules.end(), [&](auto& m) {
      return names_.Find(m.first).prefix == "transformer.";
    });
    for (auto& [name, module] : keys.modules) {
      const AdapterNames::Match match = names_.Find(name);
      if (match.target != nullptr && !(diffusers && match.prefix == "lora_unet_")) {
        KX_RETURN_IF_ERROR(Read(name, module, match));
      }
      for (const auto& [role, tensor] : module) out_.unused.push_back(tensor->first);
    }
    std::sort(out_.unused.begin(), out_.unused.end());
    if (out_.terms.empty()) return NothingFits();
    return std::move(out_);
  }

 private:
  // Leaves in `module` what was not used.
  Status Read(const std::string& name, AdapterModule& module, const AdapterNames::Match& match) {
    KX_RETURN_IF_ERROR(RefuseOtherVariants(module, *match.target, file_.name));
    const std::string family = FamilyOf(match, module);
    const size_t before = module.size();
    Result<AdapterTerm> term = TermMaker(module, match, scale_).Make();
    std::string problem;
    if (!term.ok()) {
      problem = term.message();
    } else if (!Claim(term->target)) {
      problem = "changes what another name of this file changes already";
    }
    if (!problem.empty()) {
      out_.skipped.push_back(fmt::format("{}: {}", Quoted(name), problem));
      module.clear();
      return {};
    }
    if (out_.family.empty() || match.network == AdaptedNetwork::kTransformer) out_.family = family;
    out_.used += static_cast<int64_t>(before - module.size());
    out_.terms.push_back(std::move(*term));
    return {};
  }

  // False if rows of the target have been taken by another module: one weight under two names.
  bool Claim(const AdapterTarget& target) {
    std::vector<RowRange>& taken = taken_[target.layer];
    std::vector<RowRange> wanted;
    for (const AdapterTarget::Piece& p : target.pieces) {
      wanted.push_back({p.row, p.row + p.from.end - p.from.begin});
    }
    for (const RowRange& w : wanted) {
      for (const RowRange& t : taken) {
        if (w.begin < t.end && t.begin < w.end) return false;
      }
    }
    taken.insert(taken.end(), wanted.begin(), wanted.end());
    return true;
  }

  Status NothingFits() const {
    if (!out_.skipped.empty()) {
      return BadInput("{}: none of its {} products fits this model, for example {}", file_.name,
                      out_.skipped.size(), out_.skipped[0]);
    }
    return BadInput(
        "{}: none of its {} keys names a part of this model{}; is it an adapter for FLUX.1?",
        file_.name, out_.keys,
        out_.unused.empty() ? "" : ", for example " + Quoted(out_.unused[0]));
  }

  const AdapterFile& file_;
  const AdapterNames& names_;
  AdapterScale scale_;
  Adapter out_;
  std::map<std::string, std::vector<RowRange>> taken_;
};

}  // namespace

Result<Adapter> ParseAdapter(const AdapterFile& file, const AdapterNames& names) {
  return Parser(file, names).Parse();
}

}  // namespace kontext
