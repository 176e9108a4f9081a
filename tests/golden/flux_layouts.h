// Writes a FLUX transformer's tensors as BFL's or as Diffusers' file has them, by rules of its own
// (spec weights 2): the other side of weights/dialect_flux.cc.
#ifndef KONTEXT_TESTS_GOLDEN_FLUX_LAYOUTS_H_
#define KONTEXT_TESTS_GOLDEN_FLUX_LAYOUTS_H_

#include <cstring>
#include <list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dit/dit_weights.h"
#include "weights/encodings.h"
#include "weights/table.h"

namespace kontext {

enum class Layout { kBfl, kDiffusers, kDiffusersFused };

// BFL's name of a tensor without .weight, .bias or .scale -> Diffusers' names, stacked by rows.
inline std::vector<std::string> DiffusersNames(const std::string& name, Layout layout) {
  using Names = std::map<std::string, std::vector<std::string>>;
  const bool fused = layout == Layout::kDiffusersFused;
  const std::vector<std::string> qkv = {"attn.to_q", "attn.to_k", "attn.to_v"},
                                 one = {"attn.to_qkv"};
  const Names top = {
      {"img_in", {"x_embedder"}},
      {"txt_in", {"context_embedder"}},
      {"time_in.in_layer", {"time_text_embed.timestep_embedder.linear_1"}},
      {"time_in.out_layer", {"time_text_embed.timestep_embedder.linear_2"}},
      {"guidance_in.in_layer", {"time_text_embed.guidance_embedder.linear_1"}},
      {"guidance_in.out_layer", {"time_text_embed.guidance_embedder.linear_2"}},
      {"vector_in.in_layer", {"time_text_embed.text_embedder.linear_1"}},
      {"vector_in.out_layer", {"time_text_embed.text_embedder.linear_2"}},
      {"final_layer.adaLN_modulation.1", {"norm_out.linear"}},
      {"final_layer.linear", {"proj_out"}},
  };
  Names of_double = {
      {"img_mod.lin", {"norm1.linear"}},
      {"txt_mod.lin", {"norm1_context.linear"}},
      {"img_attn.qkv", fused ? one : qkv},
      {"txt_attn.qkv", {"attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"}},
      {"img_attn.norm.query_norm", {"attn.norm_q"}},
      {"img_attn.norm.key_norm", {"attn.norm_k"}},
      {"txt_attn.norm.query_norm", {"attn.norm_added_q"}},
      {"txt_attn.norm.key_norm", {"attn.norm_added_k"}},
      {"img_attn.proj", {"attn.to_out.0"}},
      {"txt_attn.proj", {"attn.to_add_out"}},
      {"img_mlp.0", {"ff.net.0.proj"}},
      {"img_mlp.2", {"ff.net.2"}},
      {"txt_mlp.0", {"ff_context.net.0.proj"}},
      {"txt_mlp.2", {"ff_context.net.2"}},
  };
  if (fused) of_double["txt_attn.qkv"] = {"attn.to_added_qkv"};
  Names of_single = {
      {"modulation.lin", {"norm.linear"}},
      {"linear1", fused ? one : qkv},
      {"norm.query_norm", {"attn.norm_q"}},
      {"norm.key_norm", {"attn.norm_k"}},
      {"linear2", {"proj_out"}},
  };
  of_single["linear1"].push_back("proj_mlp");

  const size_t first = name.find('.'), second = name.find('.', first + 1);
  std::vector<std::string> names;
  const auto in_block = [&](const char* blocks, const Names& table) {
    for (const std::string& n : table.at(name.substr(second + 1))) {
      names.push_back(blocks + name.substr(first, second - first + 1) + n);
    }
    return names;
  };
  if (name.starts_with("double_blocks.")) return in_block("transformer_blocks", of_double);
  if (name.starts_with("single_blocks.")) return in_block("single_transformer_blocks", of_single);
  return top.at(name);
}

// Tensors of which only the shapes count. The memory is as large as the one that LayoutWriter
// copies, final_layer.adaLN_modulation.1; the others are not read.
class ShapeSource : public TensorSource {
 public:
  Result<std::vector<WeightRows>> Find(const std::string&, const Shape& shape) override {
    return std::vector<WeightRows>{ConstTensorView(memory_.data(), DType::kBF16, shape)};
  }
  std::vector<std::string> Unasked() const override { return {}; }
  std::string description() const override { return "shapes"; }

 private:
  std::vector<std::byte> memory_ = std::vector<std::byte>(2 * 3072 * 3072 * SizeOf(DType::kBF16));
};

class LayoutWriter : public WeightVisitor {
 public:
  LayoutWriter(Layout layout, int64_t hidden, TensorSource& source)
      : layout_(layout), hidden_(hidden), source_(source) {}
  const WeightMap& tensors() const { return tensors_; }

  void LinearRows(const std::string& name, LinearPtr&, RowRange rows, int64_t out, int64_t in,
                  Bias bias) override {
    if (rows.begin != 0) return;  // the first range wrote all
    Write(name, ".weight", {out, in});
    if (bias == Bias::kYes) Write(name, ".bias", {out});
  }
  void Vector(const std::string& name, VectorWeights&, int64_t n) override {
    const size_t dot = name.rfind('.');
    Write(name.substr(0, dot), name.substr(dot), {n});
  }
  void Conv(const std::string&, ConvPtr&, int64_t, int64_t, int64_t) override {}
  void Table(const std::string&, TableWeights&, int64_t, int64_t) override {}

 private:
  // `kind` is .weight, .bias or .scale.
  void Write(const std::string& name, const std::string& kind, const Shape& shape) {
    const ConstTensorView tensor = source_.Find(name + kind, shape)->at(0).dense();
    if (layout_ == Layout::kBfl) {
      tensors_[name + kind] = tensor;
      return;
    }
    const std::vector<std::string> names = DiffusersNames(name, layout_);
    int64_t begin = 0;
    for (const std::string& n : names) {
      const bool fused = n.ends_with("qkv");
      const int64_t rows = &n == &names.back() ? shape[0] - begin : fused ? 3 * hidden_ : hidden_;
      tensors_[n + (kind == ".scale" ? ".weight" : kind)] = tensor.Rows(begin, begin + rows);
      begin += rows;
    }
    if (names[0] == "norm_out.linear") SwapHalves(tensors_[names[0] + kind]);
  }

  void SwapHalves(WeightRows& weight) {
    const ConstTensorView& tensor = weight.dense();
    const size_t half =
        static_cast<size_t>(tensor.shape().NumElements() * SizeOf(tensor.dtype())) / 2;
    std::vector<std::byte>& swapped = copies_.emplace_back(2 * half);
    std::memcpy(swapped.data(), tensor.data() + half, half);
    std::memcpy(swapped.data() + half, tensor.data(), half);
    weight = ConstTensorView(swapped.data(), tensor.dtype(), tensor.shape());
  }

  Layout layout_;
  int64_t hidden_;
  TensorSource& source_;
  WeightMap tensors_;
  std::list<std::vector<std::byte>> copies_;
};

}  // namespace kontext

#endif  // KONTEXT_TESTS_GOLDEN_FLUX_LAYOUTS_H_
