#include "compute/reference/int8.h"

#include <algorithm>
#include <cmath>

#include "tensor/convrot.h"
#include "tensor/packed_int8.h"

namespace kontext {
namespace {

void RotateRow(float* x, int64_t columns) {
  if (PackedInt8::RotationFor(columns) == 1) return;
  for (int64_t k = 0; k < columns; k += kRotationGroup) RotateGroup(x + k);
}

// The larger one, or NaN if one of them is.
float Larger(float a, float b) { return std::isnan(a) || b <= a ? a : b; }

// x / scale with scale = largest / 127; numbers too small for that are zeros.
void Round(const float* x, int64_t columns, float largest, int8_t* q, float* scale) {
  *scale = largest < 0x1p-119f ? 0.0f : largest / 127.0f;
  if (*scale == 0.0f || !std::isfinite(*scale)) {
    std::fill_n(q, columns, int8_t{0});
    if (std::isinf(*scale)) q[0] = 1;  // the row is infinite
    return;
  }
  const float inverse = 1.0f / *scale;
  for (int64_t k = 0; k < columns; ++k) q[k] = static_cast<int8_t>(std::nearbyint(x[k] * inverse));
}

}  // namespace

Int8Rows RowsInInt8(const std::vector<float>& x, int64_t columns, bool pairs) {
  const int64_t rows = std::ssize(x) / columns;
  Int8Rows result{std::vector<int8_t>(x.size()), std::vector<float>(static_cast<size_t>(rows))};
  for (int64_t t = 0; t < rows; ++t) {
    const float* row = x.data() + t * columns;
    float largest = 0;
    for (int64_t k = 0; k < columns; ++k) {
      largest = Larger(largest, std::abs(row[k]));
      if (pairs && k % 2 == 1) largest = Larger(largest, std::abs(row[k - 1] + row[k]));
    }
    Round(row, columns, largest, result.q.data() + t * columns,
          &result.scale[static_cast<size_t>(t)]);
  }
  return result;
}

Int8Rows WeightInInt8(const WeightRows& weight) {
  const int64_t rows = weight.dim(0), columns = weight.dim(1);
  std::vector<float> x(static_cast<size_t>(rows * columns));
  for (int64_t n = 0; n < rows; ++n) {
    weight.Decode(n, 0, columns, x.data() + n * columns);
    RotateRow(x.data() + n * columns, columns);
  }
  return RowsInInt8(x, columns, false);
}

Int8Rows ActivationsInInt8(std::vector<float> x, int64_t columns) {
  for (int64_t k = 0; k < std::ssize(x); k += columns) RotateRow(x.data() + k, columns);
  return RowsInInt8(x, columns, true);
}

double Int8Dot(const Int8Rows& x, int64_t t, const Int8Rows& w, int64_t n) {
  const int64_t columns = std::ssize(w.q) / std::ssize(w.scale);
  int64_t sum = 0;
  for (int64_t k = 0; k < columns; ++k) {
    sum += int64_t{x.q[static_cast<size_t>(t * columns + k)]} *
           w.q[static_cast<size_t>(n * columns + k)];
  }
  return static_cast<double>(x.scale[static_cast<size_t>(t)]) *
         static_cast<double>(w.scale[static_cast<size_t>(n)]) * static_cast<double>(sum);
}

}  // namespace kontext
