#include "dit/blocks.h"

namespace kontext {

void KeepOrReuseReference(const DitStep& s, size_t block) {
  const DitActivations& a = s.a;
  if (a.reference.empty()) return;
  const int64_t T = a.plan.tokens(), begin = T - a.plan.reference;
  const TensorView k = a.k.Slice(1, begin, T), v = a.v.Slice(1, begin, T);  // [H, Tr, Dh]
  const ReferenceKeys& kept = a.reference[block];
  if (s.rows == T) {
    s.ops.Copy(k, kept.k);
    s.ops.Copy(v, kept.v);
  } else {
    s.ops.Copy(kept.k, k);
    s.ops.Copy(kept.v, v);
  }
}

}  // namespace kontext
