// The blocks of the transformer, and what each of them gets.
#ifndef KONTEXT_DIT_BLOCKS_H_
#define KONTEXT_DIT_BLOCKS_H_

#include "compute/ops.h"
#include "dit/dit_activations.h"
#include "dit/dit_weights.h"
#include "dit/tap.h"

namespace kontext {

inline constexpr float kNormEps = 1e-6f;  // of every LayerNorm and RMSNorm (BFL layers.py:71, 137)

// One step of a run, as the blocks see it.
struct DitStep {
  const DitActivations& a;
  Ops& ops;
  const Tap& tap;
  int64_t step;  // row of the modulation tables
  int64_t rows;  // of this pass: T, or Tt + Ti if the reference's keys and values are reused
};

struct Modulation {
  RowModulation in;      // of the rows that go into an attention or MLP
  ConstTensorView gate;  // [D] F32: of what comes out of it
};

// The k-th (shift, scale, gate) in row `step` of a table [steps, n * 3D].  (BFL layers.py:118-126)
inline Modulation ModulationAt(ConstTensorView table, int64_t step, int64_t k, int64_t D) {
  const ConstTensorView row = table.At(step).Slice(0, 3 * D * k, 3 * D * (k + 1));  // [3D]
  return {{row.Slice(0, 0, D), row.Slice(0, D, 2 * D), kNormEps}, row.Slice(0, 2 * D, 3 * D)};
}

// Both update the residual stream s.a.x in place. Only `rows` are brought up to date by a single
// block; the others are read, as keys and values.
void DoubleBlock(const DitStep& s, size_t index, const DoubleBlockWeights& w);
void SingleBlock(const DitStep& s, size_t index, const SingleBlockWeights& w, RowRange rows);
// After a block's k and v: keeps their reference rows, or in a pass without these rows puts the
// kept ones in their place. `block` counts the double blocks first.
void KeepOrReuseReference(const DitStep& s, size_t block);
// The target rows of s.a.x -> velocity [Ti, out_channels] F32.
void FinalLayer(const DitStep& s, const DitWeights& w, TensorView velocity);

}  // namespace kontext

#endif  // KONTEXT_DIT_BLOCKS_H_
