#include "dit/blocks.h"

namespace kontext {

// BFL layers.py:249-253, for the target rows: what it says of the reference is thrown away
// (sampling.py:349).
void FinalLayer(const DitStep& s, const DitWeights& w, TensorView velocity) {
  const DitActivations& a = s.a;
  const int64_t D = a.x.dim(1), begin = a.plan.text, end = begin + a.plan.target;
  const ConstTensorView row = a.final_mod.At(s.step);  // [2D]
  const ConstTensorView shift = row.Slice(0, 0, D),
                        scale = row.Slice(0, D, 2 * D);  // shift comes first
  const TensorView norm = a.norm.Rows(begin, end);       // [Ti, D]
  s.ops.ModulatedLayerNorm(a.x.Rows(begin, end), shift, scale, kNormEps, norm);
  s.ops.Linear(norm, *w.final_linear, Activation::kNone, velocity);  // [Ti, out_channels]
  s.tap(velocity, "out");
}

}  // namespace kontext
