#include "dit/dit_weights.h"

#include <fmt/format.h>

namespace kontext {
namespace {

void VisitEmbedder(const std::string& name, int64_t in, int64_t D, EmbedderWeights& w,
                   WeightVisitor& v) {
  v.Linear(name + ".in_layer", w.in_layer, D, in, Bias::kYes);
  v.Linear(name + ".out_layer", w.out_layer, D, D, Bias::kYes);
}

// `s` is "img" or "txt".
void VisitStream(const DitConfig& c, const std::string& block, const char* s, StreamWeights& w,
                 int index, WeightVisitor& v) {
  const int64_t D = c.hidden, F = c.mlp;
  const DitSections sections(c);
  const std::string name = block + s;  // double_blocks.0.img
  v.Section(sections.Modulation(index), Use::kOnce);
  v.Linear(name + "_mod.lin", w.mod, 6 * D, D, Bias::kYes);
  v.Section(sections.Block(index), Use::kEveryStep);
  v.Coarsest(Precision::kInt8);
  v.Linear(name + "_attn.qkv", w.qkv, 3 * D, D, Bias::kYes);
  v.Vector(name + "_attn.norm.query_norm.scale", w.query_norm, c.head_dim());
  v.Vector(name + "_attn.norm.key_norm.scale", w.key_norm, c.head_dim());
  v.Linear(name + "_attn.proj", w.proj, D, D, Bias::kYes);
  v.Linear(name + "_mlp.0", w.mlp_0, F, D, Bias::kYes);
  v.Linear(name + "_mlp.2", w.mlp_2, D, F, Bias::kYes);
  v.Coarsest(Precision::kExact);
}

void VisitSingleBlock(const DitConfig& c, const std::string& block, SingleBlockWeights& w,
                      int index, WeightVisitor& v) {
  const int64_t D = c.hidden, F = c.mlp;
  const DitSections sections(c);
  v.Section(sections.Modulation(index), Use::kOnce);
  v.Linear(block + "modulation.lin", w.modulation, 3 * D, D, Bias::kYes);
  v.Section(sections.Block(index), Use::kEveryStep);
  v.Coarsest(Precision::kInt8);
  v.LinearRows(block + "linear1", w.linear1_qkv, {0, 3 * D}, 3 * D + F, D, Bias::kYes);
  v.LinearRows(block + "linear1", w.linear1_mlp, {3 * D, 3 * D + F}, 3 * D + F, D, Bias::kYes);
  v.Vector(block + "norm.query_norm.scale", w.query_norm, c.head_dim());
  v.Vector(block + "norm.key_norm.scale", w.key_norm, c.head_dim());
  v.Linear(block + "linear2", w.linear2, D, D + F, Bias::kYes);
  v.Coarsest(Precision::kExact);
}

}  // namespace

// The blocks' products may run in 8 bits. The embedders, the modulations and the final layer may
// not: they are 0.1 % of a step's work, and every reader of FLUX in 8 bits leaves them alone
// (docs/int8.md).
void VisitDit(const DitConfig& c, DitWeights& w, WeightVisitor& v) {
  const int64_t D = c.hidden;
  w.double_blocks.resize(static_cast<size_t>(c.depth));
  w.single_blocks.resize(static_cast<size_t>(c.depth_single));

  const DitSections sections(c);
  v.Section(sections.Block(0), Use::kEveryStep);
  v.Linear("img_in", w.img_in, D, c.in_channels, Bias::kYes);
  v.Section(sections.Embedders(), Use::kOnce);
  VisitEmbedder("time_in", kTimestepChannels, D, w.time_in, v);
  if (c.guidance) VisitEmbedder("guidance_in", kTimestepChannels, D, w.guidance_in, v);
  VisitEmbedder("vector_in", c.vec, D, w.vector_in, v);
  v.Linear("txt_in", w.txt_in, D, c.context, Bias::kYes);
  for (size_t i = 0; i < w.double_blocks.size(); ++i) {
    const std::string block = fmt::format("double_blocks.{}.", i);
    const int index = static_cast<int>(i);
    VisitStream(c, block, "img", w.double_blocks[i].img, index, v);
    VisitStream(c, block, "txt", w.double_blocks[i].txt, index, v);
  }
  for (size_t i = 0; i < w.single_blocks.size(); ++i) {
    VisitSingleBlock(c, fmt::format("single_blocks.{}.", i), w.single_blocks[i],
                     sections.depth + static_cast<int>(i), v);
  }
  v.Section(sections.Modulation(sections.blocks - 1), Use::kOnce);
  v.Linear("final_layer.adaLN_modulation.1", w.final_modulation, 2 * D, D, Bias::kYes);
  v.Section(sections.Block(sections.blocks - 1), Use::kEveryStep);
  v.Linear("final_layer.linear", w.final_linear, c.out_channels, D, Bias::kYes);
}

}  // namespace kontext
