// The layers of nunchaku files under the names Diffusers has for them (spec weights 8), so that the
// tables of dialect_flux.cc find them.
#include <array>
#include <string_view>

#include "weights/encoding_svdquant.h"

namespace kontext {
namespace {

// What is added to the inputs of int4 layers behind a GELU, so that they can be unsigned; the bias
// in the file has its effect taken off.
constexpr float kGeluShift = 0.171875f;

struct Layer {
  std::string_view theirs, diffusers;
  bool behind_gelu = false;
  int64_t modulation = 0;  // parts, if it is one
};
constexpr Layer kDouble[] = {
    {"norm1.linear", "norm1.linear", false, 6},
    {"norm1_context.linear", "norm1_context.linear", false, 6},
    {"qkv_proj", "attn.to_qkv"},
    {"qkv_proj_context", "attn.to_added_qkv"},
    {"out_proj", "attn.to_out.0"},
    {"out_proj_context", "attn.to_add_out"},
    {"mlp_fc1", "ff.net.0.proj"},
    {"mlp_fc2", "ff.net.2", true},
    {"mlp_context_fc1", "ff_context.net.0.proj"},
    {"mlp_context_fc2", "ff_context.net.2", true},
};
// out_proj and mlp_fc2 are the columns of one layer, proj_out.
constexpr Layer kSingle[] = {
    {"norm.linear", "norm.linear", false, 3},
    {"qkv_proj", "attn.to_qkv"},
    {"mlp_fc1", "proj_mlp"},
    {"out_proj", "proj_out"},
    {"mlp_fc2", "proj_out", true},
};
constexpr std::string_view kNorms[] = {"norm_q.weight", "norm_k.weight", "norm_added_q.weight",
                                       "norm_added_k.weight"};

// "PREFIX.transformer_blocks.7." and what follows.
struct Split {
  std::string block;
  std::string_view rest;
  bool single = false;
};
Split SplitName(const std::string& name) {
  constexpr std::string_view kBlocks = "transformer_blocks.";
  const size_t at = name.find(kBlocks);
  const size_t dot = at == std::string::npos ? at : name.find('.', at + kBlocks.size());
  if (dot == std::string::npos) return {};
  const std::string_view before = std::string_view(name).substr(0, at);
  return {name.substr(0, dot + 1), std::string_view(name).substr(dot + 1),
          before.ends_with("single_")};
}

// Two matrices side by side.
class JoinedColumns final : public EncodedMatrix {
 public:
  JoinedColumns(std::shared_ptr<const EncodedMatrix> left,
                std::shared_ptr<const EncodedMatrix> right)
      : EncodedMatrix(left->rows, left->columns + right->columns),
        left_(std::move(left)),
        right_(std::move(right)) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    const int64_t seam = left_->columns;
    if (begin < seam) left_->Decode(row, begin, std::min(end, seam), out);
    if (end <= seam) return;
    const int64_t from = std::max(begin, seam);
    right_->Decode(row, from - seam, end - seam, out + (from - begin));
  }
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override {
    left_->Touches(begin, end, spans);
    right_->Touches(begin, end, spans);
  }
  std::string encoding() const override { return left_->encoding(); }

 private:
  std::shared_ptr<const EncodedMatrix> left_, right_;
};

// The bias of a layer whose inputs are shifted in the file's products and not in ours. Its sum goes
// over all of the layer's weights, so it waits until the bias is asked for.
class UnshiftedBias final : public EncodedMatrix {
 public:
  UnshiftedBias(std::vector<float> bias, std::shared_ptr<const SvdquantMatrix> matrix)
      : EncodedMatrix(1, matrix->rows), bias_(std::move(bias)), matrix_(std::move(matrix)) {}

  void Decode(int64_t, int64_t begin, int64_t end, float* out) const override {
    for (int64_t n = begin; n < end; ++n)
      out[n - begin] = bias_[static_cast<size_t>(n)] + kGeluShift * matrix_->QuantisedSum(n);
  }
  void Touches(int64_t, int64_t, std::vector<ByteSpan>& spans) const override {
    matrix_->Touches(0, matrix_->rows, spans);
  }
  std::string encoding() const override { return matrix_->encoding(); }

 private:
  std::vector<float> bias_;
  std::shared_ptr<const SvdquantMatrix> matrix_;
};

Status PutBias(Folding& folding, const std::string& name, std::vector<float> bias,
               const std::shared_ptr<const SvdquantMatrix>& shifted) {
  if (shifted == nullptr || shifted->fp4()) return folding.Put(name, bias);
  return folding.Put(
      name, WeightRows(std::make_shared<UnshiftedBias>(std::move(bias), shifted), {shifted->rows}));
}

// Both column parts of a single block's proj_out.
Status FoldProjOut(Folding& folding, const std::string& block) {
  std::vector<float> bias, mlp_bias;
  KX_ASSIGN_OR_RETURN(const auto out, TakeSvdquantLayer(folding, block + "out_proj", bias));
  KX_ASSIGN_OR_RETURN(const auto mlp, TakeSvdquantLayer(folding, block + "mlp_fc2", mlp_bias));
  if (mlp->rows != out->rows || out->columns % EncodedMatrix::kGranule != 0) {
    return folding.Bad(block + "mlp_fc2.qweight",
                       "has {} rows beside out_proj's [{},{}]: expected as many, and columns in a "
                       "multiple of {}",
                       mlp->rows, out->rows, out->columns, EncodedMatrix::kGranule);
  }
  for (size_t n = 0; n < bias.size(); ++n) bias[n] += mlp_bias[n];
  KX_RETURN_IF_ERROR(PutBias(folding, block + "proj_out.bias", std::move(bias), mlp));
  return folding.Put(block + "proj_out.weight", std::make_shared<JoinedColumns>(out, mlp));
}

Status FoldLayer(Folding& folding, const Split& split, const Layer& layer) {
  const std::string theirs = split.block + std::string(layer.theirs);
  const std::string name = split.block + std::string(layer.diffusers);
  if (layer.modulation != 0) return FoldAwqModulation(folding, theirs, layer.modulation);
  if (layer.diffusers == "proj_out") return FoldProjOut(folding, split.block);
  std::vector<float> bias;
  KX_ASSIGN_OR_RETURN(const auto matrix, TakeSvdquantLayer(folding, theirs, bias));
  KX_RETURN_IF_ERROR(
      PutBias(folding, name + ".bias", std::move(bias), layer.behind_gelu ? matrix : nullptr));
  return folding.Put(name + ".weight", matrix);
}

}  // namespace

Status FoldSvdquant(Folding& folding) {
  constexpr std::string_view kCodes = ".qweight";
  bool any = false;
  for (const auto& [name, tensor] : folding.raw()) {
    if (!name.ends_with(kCodes) || folding.taken(name)) continue;
    any = true;
    Split split = SplitName(name);
    split.rest.remove_suffix(std::min(kCodes.size(), split.rest.size()));
    const std::span<const Layer> layers =
        split.single ? std::span<const Layer>(kSingle) : std::span<const Layer>(kDouble);
    const auto layer = std::find_if(layers.begin(), layers.end(),
                                    [&](const Layer& l) { return l.theirs == split.rest; });
    if (layer == layers.end()) {
      return folding.Bad(name,
                         "is of no layer that nunchaku files of FLUX.1 have; other 4-bit "
                         "formats with .qweight (AWQ, GPTQ) cannot be read");
    }
    KX_RETURN_IF_ERROR(FoldLayer(folding, split, *layer));
  }
  if (!any) return {};
  for (const auto& [name, tensor] : folding.raw()) {
    const Split split = SplitName(name);
    if (std::find(std::begin(kNorms), std::end(kNorms), split.rest) == std::end(kNorms)) continue;
    KX_RETURN_IF_ERROR(folding.Put(split.block + "attn." + std::string(split.rest), tensor));
    folding.Drop(name);
  }
  return {};
}

}  // namespace kontext
