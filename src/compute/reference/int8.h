// Precision::kInt8 of ops.h in plain loops.
#ifndef KONTEXT_COMPUTE_REFERENCE_INT8_H_
#define KONTEXT_COMPUTE_REFERENCE_INT8_H_

#include <cstdint>
#include <vector>

#include "tensor/view.h"
#include "tensor/weight_rows.h"

namespace kontext {

// Rows of K values as q * scale.
struct Int8Rows {
  int64_t columns = 0, slice = 0;  // K, and how many of them share a scale
  std::vector<int8_t> q = {};      // [rows, K]
  std::vector<float> scale = {};   // [rows, slices]

  int64_t slices() const { return (columns + slice - 1) / slice; }
};
// x [rows, K]; the scale from the largest value, or with `pairs` from pairs, too.
Int8Rows RowsInInt8(const std::vector<float>& x, int64_t columns, int64_t slice, bool pairs);
// The same of a product's operands, which are rotated before.
Int8Rows WeightInInt8(const WeightRows& weight);
Int8Rows ActivationsInInt8(std::vector<float> x, int64_t columns);

// Sum over the slices of x: scale * scale * sum of q * q. The rows of w have one scale.
double Int8Dot(const Int8Rows& x, int64_t t, const Int8Rows& w, int64_t n);

// One head of attention. q [Tq,Dh], k and v [Tk,Dh], dst [Tq,Dh].
void Int8Attention(const ConstTensorView& q, const ConstTensorView& k, const ConstTensorView& v,
                   double scale, const TensorView& dst);

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REFERENCE_INT8_H_
