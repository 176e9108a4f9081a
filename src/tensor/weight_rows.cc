#include "tensor/weight_rows.h"

#include <algorithm>

namespace kontext {
namespace {

template <class T>
void Widen(const T* from, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ToFloat(from[i]);
}

}  // namespace

int64_t WeightRows::matrix_columns() const {
  if (rank() < 2) return shape_.NumElements();
  int64_t columns = 1;
  for (int i = 1; i < rank(); ++i) columns *= dim(i);
  return columns;
}

WeightRows WeightRows::Rows(int64_t begin, int64_t end) const {
  WeightRows rows = *this;
  rows.shape_[0] = end - begin;
  if (is_encoded()) {
    rows.first_row_ += begin;
  } else {
    rows.dense_ = dense_.Rows(begin, end);
  }
  return rows;
}

WeightRows WeightRows::Reshaped(const Shape& shape) const {
  WeightRows rows = *this;
  rows.shape_ = shape;
  if (!is_encoded()) rows.dense_ = dense_.Reshaped(shape);
  return rows;
}

void WeightRows::Decode(int64_t row, int64_t begin, int64_t end, float* out) const {
  if (is_encoded()) return encoded_->Decode(first_row_ + row, begin, end, out);
  const int64_t stride = rank() < 2 ? 0 : dense_.stride(0);
  const std::byte* from = dense_.data() + (row * stride + begin) * SizeOf(dense_.dtype());
  switch (dense_.dtype()) {
    case DType::kBF16:
      return Widen(reinterpret_cast<const BF16*>(from), end - begin, out);
    case DType::kF16:
      return Widen(reinterpret_cast<const F16*>(from), end - begin, out);
    default:
      return Widen(reinterpret_cast<const float*>(from), end - begin, out);
  }
}

void WeightRows::DecodeAll(float* out) const {
  const int64_t columns = matrix_columns();
  for (int64_t row = 0; row < matrix_rows(); ++row) Decode(row, 0, columns, out + row * columns);
}

void WeightRows::Touches(std::vector<ByteSpan>& spans) const {
  if (empty()) return;
  if (is_encoded()) return encoded_->Touches(first_row_, first_row_ + matrix_rows(), spans);
  const int64_t stride = rank() < 2 ? 0 : dense_.stride(0);
  const int64_t elements = (matrix_rows() - 1) * stride + matrix_columns();
  spans.emplace_back(dense_.data(), static_cast<size_t>(elements * SizeOf(dense_.dtype())));
}

}  // namespace kontext
