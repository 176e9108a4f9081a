// The weight table of the FLUX transformer, by BFL's names and in the order of the data's way.
#ifndef KONTEXT_DIT_DIT_WEIGHTS_H_
#define KONTEXT_DIT_DIT_WEIGHTS_H_

#include <vector>

#include "dit/dit_config.h"
#include "weights/table.h"

namespace kontext {

struct EmbedderWeights {
  LinearPtr in_layer, out_layer;  // [D, 256 or vec], [D, D]
};
struct StreamWeights {                 // one stream (img or txt) of a double block
  LinearPtr mod;                       // [6D, D]: shift1, scale1, gate1, shift2, scale2, gate2
  LinearPtr qkv;                       // [3D, D]
  VectorWeights query_norm, key_norm;  // [Dh]
  LinearPtr proj;                      // [D, D]
  LinearPtr mlp_0, mlp_2;              // [F, D], [D, F]
};
struct DoubleBlockWeights {
  StreamWeights img, txt;
};
struct SingleBlockWeights {
  LinearPtr modulation;                // [3D, D]: shift, scale, gate
  LinearPtr linear1_qkv;               // [3D, D]: rows 0..3D of the file's linear1 [3D + F, D]
  LinearPtr linear1_mlp;               // [F, D]: the rest of it
  VectorWeights query_norm, key_norm;  // [Dh]
  LinearPtr linear2;                   // [D, D + F]: attention, mlp
};
struct DitWeights {
  LinearPtr img_in, txt_in;  // [D, in_channels], [D, context]
  EmbedderWeights time_in, guidance_in, vector_in;
  std::vector<DoubleBlockWeights> double_blocks;
  std::vector<SingleBlockWeights> single_blocks;
  LinearPtr final_modulation;  // [2D, D]: shift, scale
  LinearPtr final_linear;      // [out_channels, D]

  SectionWatch* watch = nullptr;  // told of the sections below, if anybody needs to know
};

// Sections of the weights in the order of use: the embedders, each double block's modulations, each
// single block's and the last layer's, all used once; then each block's products. img_in belongs to
// the first block, the last layer to the last.
struct DitSections {
  explicit DitSections(const DitConfig& config)
      : depth(static_cast<int>(config.depth)),
        blocks(depth + static_cast<int>(config.depth_single)) {}
  int Embedders() const { return 0; }
  int Modulation(int block) const {
    return 1 + block;
  }  // double blocks first; the last layer's
     // with the last block's
  int Block(int block) const { return 1 + blocks + block; }
  int depth, blocks;
};

void VisitDit(const DitConfig& config, DitWeights& weights, WeightVisitor& visitor);

}  // namespace kontext

#endif  // KONTEXT_DIT_DIT_WEIGHTS_H_
