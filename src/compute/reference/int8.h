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
  std::vector<int8_t> q;     // [rows, K]
  std::vector<float> scale;  // [rows]
};
// x [rows, K]; the scale from the largest value, or with `pairs` from pairs, too.
Int8Rows RowsInInt8(const std::vector<float>& x, int64_t columns, bool pairs);
// The same of a product's operands, which are rotated before.
Int8Rows WeightInInt8(const WeightRows& weight);
Int8Rows ActivationsInInt8(std::vector<float> x, int64_t columns);

// scale * scale * sum of q * q
double Int8Dot(const Int8Rows& x, int64_t t, const Int8Rows& w, int64_t n);

// One head of attention. q [Tq,Dh], k and v [Tk,Dh], dst [Tq,Dh].
void Int8Attention(const ConstTensorView& q, const ConstTensorView& k, const ConstTensorView& v,
                   double scale, const TensorView& dst);

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REFERENCE_INT8_H_
