// Precision::kInt8 of ops.h in plain loops.
#ifndef KONTEXT_COMPUTE_REFERENCE_INT8_H_
#define KONTEXT_COMPUTE_REFERENCE_INT8_H_

#include <cstdint>
#include <vector>

#include "tensor/weight_rows.h"

namespace kontext {

// Rows of K values as q * scale, rotated.
struct Int8Rows {
  std::vector<int8_t> q;     // [rows, K]
  std::vector<float> scale;  // [rows]
};
Int8Rows WeightInInt8(const WeightRows& weight);
// x [rows, K]
Int8Rows ActivationsInInt8(std::vector<float> x, int64_t columns);

// scale * scale * sum of q * q
double Int8Dot(const Int8Rows& x, int64_t t, const Int8Rows& w, int64_t n);

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REFERENCE_INT8_H_
