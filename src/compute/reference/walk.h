// Visits the elements of equally shaped views of any rank and strides.
#ifndef KONTEXT_COMPUTE_REFERENCE_WALK_H_
#define KONTEXT_COMPUTE_REFERENCE_WALK_H_

#include <array>
#include <cstdint>

#include "tensor/view.h"

namespace kontext {

// Calls body({offset in view 0, offset in view 1, ...}) for every element of the first `rank`
// dimensions, row-major. With rank = v.rank() that is every element, with one less every row.
template <size_t N, class Body>
void Walk(const std::array<ConstTensorView, N>& views, int rank, Body body) {
  const Shape& shape = views[0].shape();
  int64_t count = 1;
  for (int i = 0; i < rank; ++i) count *= shape[i];
  for (int64_t k = 0; k < count; ++k) {
    std::array<int64_t, N> offsets{};
    int64_t rest = k;
    for (int i = rank - 1; i >= 0; --i) {
      for (size_t v = 0; v < N; ++v) offsets[v] += rest % shape[i] * views[v].stride(i);
      rest /= shape[i];
    }
    body(offsets);
  }
}

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REFERENCE_WALK_H_
