#include "compute/reference/int8.h"

#include <algorithm>
#include <cmath>

#include "compute/ops.h"
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

Int8Rows RowsInInt8(const std::vector<float>& x, int64_t columns, int64_t slice, bool pairs) {
  Int8Rows result{columns, slice, std::vector<int8_t>(x.size())};
  for (int64_t row = 0; row < std::ssize(x); row += columns) {
    for (int64_t begin = 0; begin < columns; begin += slice) {
      const float* values = x.data() + row + begin;
      const int64_t count = std::min(slice, columns - begin);
      float largest = 0;
      for (int64_t k = 0; k < count; ++k) {
        largest = Larger(largest, std::abs(values[k]));
        if (pairs && k % 2 == 1) largest = Larger(largest, std::abs(values[k - 1] + values[k]));
      }
      result.scale.push_back(0);
      Round(values, count, largest, result.q.data() + row + begin, &result.scale.back());
    }
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
  return RowsInInt8(x, columns, columns, false);
}

Int8Rows ActivationsInInt8(std::vector<float> x, int64_t columns) {
  for (int64_t k = 0; k < std::ssize(x); k += columns) RotateRow(x.data() + k, columns);
  return RowsInInt8(x, columns, kInt8Slice, true);
}

double Int8Dot(const Int8Rows& x, int64_t t, const Int8Rows& w, int64_t n) {
  const int64_t columns = x.columns;
  double total = 0;
  for (int64_t c = 0; c < x.slices(); ++c) {
    int64_t sum = 0;
    for (int64_t k = c * x.slice; k < std::min(columns, (c + 1) * x.slice); ++k) {
      sum += int64_t{x.q[static_cast<size_t>(t * columns + k)]} *
             w.q[static_cast<size_t>(n * columns + k)];
    }
    total += static_cast<double>(x.scale[static_cast<size_t>(t * x.slices() + c)]) *
             static_cast<double>(sum);
  }
  return total * static_cast<double>(w.scale[static_cast<size_t>(n)]);
}

}  // namespace kontext
