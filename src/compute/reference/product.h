// The one product loop of the reference backend; Linear and Conv2d differ in where a row comes
// from.
#ifndef KONTEXT_COMPUTE_REFERENCE_PRODUCT_H_
#define KONTEXT_COMPUTE_REFERENCE_PRODUCT_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "compute/reference/access.h"
#include "tensor/weight_rows.h"

namespace kontext {

// Outputs computed side by side, so that the compiler vectorises across them and every single sum
// still runs over k in order.
constexpr int64_t kProductLanes = 16;

// Output features [n0, n0 + kProductLanes) of `weight` [N,K] as doubles [K][lanes]; lanes beyond N
// are 0.
inline void PackLanes(const WeightRows& weight, int64_t n0, std::vector<double>& packed) {
  const int64_t out = weight.dim(0), in = weight.shape().NumElements() / out;
  packed.assign(static_cast<size_t>(in * kProductLanes), 0.0);
  std::vector<float> row(static_cast<size_t>(in));
  for (int64_t lane = 0; lane < std::min(kProductLanes, out - n0); ++lane) {
    weight.Decode(n0 + lane, 0, in, row.data());
    for (int64_t k = 0; k < in; ++k) {
      packed[static_cast<size_t>(k * kProductLanes + lane)] =
          static_cast<double>(row[static_cast<size_t>(k)]);
    }
  }
}

// The values of a vector [n], as a backend keeps them.
inline std::vector<float> CopyOfVector(const ConstTensorView& v) {
  std::vector<float> values(static_cast<size_t>(v.dim(0)));
  WeightRows(v).DecodeAll(values.data());
  return values;
}

// For every row t and feature n: store(t, n, sum_k row(t)[k] * weight[n, k] + bias[n]); bias [N] or
// null.
// load_row(t, double* row) writes K doubles. `weight` has N rows of K elements, whatever its rank.
template <class LoadRowFn, class StoreFn>
void ForEachProduct(const WeightRows& weight, const float* bias, int64_t rows, LoadRowFn load_row,
                    StoreFn store) {
  const int64_t out = weight.dim(0), in = weight.shape().NumElements() / out;
  std::vector<double> packed, row(static_cast<size_t>(in));
  for (int64_t n0 = 0; n0 < out; n0 += kProductLanes) {
    PackLanes(weight, n0, packed);
    for (int64_t t = 0; t < rows; ++t) {
      load_row(t, row.data());
      std::array<double, kProductLanes> sum{};
      for (int64_t k = 0; k < in; ++k) {
        const double x = row[static_cast<size_t>(k)];
        const double* w = packed.data() + k * kProductLanes;
        for (size_t lane = 0; lane < kProductLanes; ++lane) sum[lane] += x * w[lane];
      }
      for (int64_t n = n0; n < std::min(n0 + kProductLanes, out); ++n) {
        store(t, n,
              sum[static_cast<size_t>(n - n0)] +
                  (bias == nullptr ? 0.0 : static_cast<double>(bias[n])));
      }
    }
  }
}

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REFERENCE_PRODUCT_H_
