#include "dit/blocks.h"

namespace kontext {

// BFL layers.py:249-253, for the target rows: what it says of the reference is thrown away
// (sampling.py:349).
void FinalLayer(const DitStep& s, const DitWeights& w, TensorView velocity) {
  const DitActivations& a = s.a;
  const int64_t D = a.x.dim(1), begin = a.plan.text, end = begin + a.plan.target;
  const ConstTensorView row = a.final_mod.At(s.step);  // [2D]
  // shift comes first
  const RowModulation modulation{row.Slice(0, 0, D), row.Slice(0, D, 2 * D), kNormEps};
  s.ops.ModulatedLinear(a.x.Rows(begin, end), modulation, *w.final_linear, Activation::kNone,
                        velocity);  // [Ti, out_channels]
  s.tap(velocity, "out");
}

}  // namespace kontext
