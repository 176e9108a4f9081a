// NaN and infinity are stopped between stages: never a silent black picture.
#ifndef KONTEXT_EDIT_FINITE_H_
#define KONTEXT_EDIT_FINITE_H_

#include <cmath>

#include "tensor/view.h"

namespace kontext {

// values: dense F32.
inline bool AllFinite(ConstTensorView values) {
  const float* p = values.As<float>();
  const int64_t n = values.shape().NumElements();
  float sum = 0;  // x * 0 is 0 for every finite x and NaN for the others; sums without branches
  for (int64_t i = 0; i < n; ++i) sum += p[i] * 0.0f;
  return std::isfinite(sum);
}

}  // namespace kontext

#endif  // KONTEXT_EDIT_FINITE_H_
