// Every buffer of a run, with its shape and its lifetime, cut from one arena.
//
// The residual stream x holds text, target and reference rows in this order from the first block
// on, so that "concatenate" and "split" (BFL model.py:113-116, layers.py:177-182) are views.
#ifndef KONTEXT_DIT_DIT_ACTIVATIONS_H_
#define KONTEXT_DIT_DIT_ACTIVATIONS_H_

#include <vector>

#include "dit/dit.h"
#include "tensor/arena.h"

namespace kontext {

struct DoubleModulation {
  TensorView img, txt;  // [steps, 6D] F32: shift1, scale1, gate1, shift2, scale2, gate2
};

// The reference rows of a block's keys and values, after norm and rope.
struct ReferenceKeys {
  TensorView k, v;  // [H, Tr, Dh]
};

struct DitActivations {
  DitPlan plan;
  int64_t head_dim = 0;  // Dh

  // Written once, alive to the end of the run.
  TensorView rope;                           // [T, Dh/2, 2] F32: (cos, sin)
  TensorView txt;                            // [Tt, D] F32: txt_in(T5 states)
  std::vector<DoubleModulation> double_mod;  // per double block
  std::vector<TensorView> single_mod;        // [steps, 3D] F32 per single block: shift, scale, gate
  TensorView final_mod;                      // [steps, 2D] F32: shift, scale
  // Per block, the double ones first; none unless plan.keep_reference. Written by every full pass.
  std::vector<ReferenceKeys> reference;

  // Alive while the modulations are computed.
  TensorView sinusoids;   // [steps, 256] F32
  TensorView vec_hidden;  // [steps, D] F32: within an embedder; then silu(vec)
  TensorView vec_row;     // [1, D] F32: of guidance, then of the pooled text
  TensorView vec;         // [steps, D] F32

  // Alive within one step.
  TensorView x;  // [T, D] F32: the residual stream
  // Alive within one block.
  TensorView q, k, v;  // [H, T, Dh]: of all tokens, normed and rotated
  TensorView wide;     // [T, max(3D, D+F)], seen through the views below
  // Views of `wide`. qkv ends with the split into heads, before the other two are written.
  TensorView qkv;            // [T, 3D]
  TensorView attention;      // [T, D]
  TensorView mlp;            // [T, F]: room for an MLP's hidden rows
  TensorView attention_mlp;  // [T, D+F]: both, the input of a single block's linear2
};

// Takes all buffers from the arena: once from a planning one, to learn the size, and then from one
// that has it.
Result<DitActivations> TakeActivations(const DitConfig& config, const DitPlan& plan,
                                       DType activations, Arena& arena);

}  // namespace kontext

#endif  // KONTEXT_DIT_DIT_ACTIVATIONS_H_
