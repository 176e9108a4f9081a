// TensorView and ConstTensorView: pointer, dtype, shape and strides. Views never own and are cheap
// to copy. The last dimension is always dense (stride 1); the others may be strided, so that rows
// of a wider matrix or one head range of [H,T,Dh] are views too.
#ifndef KONTEXT_TENSOR_VIEW_H_
#define KONTEXT_TENSOR_VIEW_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/bf16.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace kontext {

namespace internal {
template <class T>
constexpr DType DTypeOf();
template <>
constexpr DType DTypeOf<float>() {
  return DType::kF32;
}
template <>
constexpr DType DTypeOf<BF16>() {
  return DType::kBF16;
}
template <>
constexpr DType DTypeOf<F16>() {
  return DType::kF16;
}
template <>
constexpr DType DTypeOf<uint8_t>() {
  return DType::kU8;
}
template <>
constexpr DType DTypeOf<int8_t>() {
  return DType::kI8;
}
template <>
constexpr DType DTypeOf<int32_t>() {
  return DType::kI32;
}
template <>
constexpr DType DTypeOf<int64_t>() {
  return DType::kI64;
}
}  // namespace internal

// Byte is `std::byte` or `const std::byte`; use the two aliases below.
template <class Byte>
class BasicView {
 public:
  BasicView() = default;  // the empty view: data() is null
  // Dense: strides follow from the shape.
  BasicView(Byte* data, DType dtype, const Shape& shape)
      : data_(data), dtype_(dtype), shape_(shape) {
    int64_t stride = 1;
    for (int i = shape.rank() - 1; i >= 0; --i) {
      strides_[static_cast<size_t>(i)] = stride;
      if (i > 0) stride *= shape[i];  // not the outermost: a hostile shape may overflow there
    }
  }
  // A mutable view is a const view, too.
  operator BasicView<const std::byte>() const {  // NOLINT: implicit, as T* to const T*
    BasicView<const std::byte> v(data_, dtype_, shape_);
    for (int i = 0; i < shape_.rank(); ++i) v.SetStride(i, stride(i));
    return v;
  }

  bool empty() const { return data_ == nullptr; }
  Byte* data() const { return data_; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int i) const { return shape_[i]; }
  int64_t stride(int i) const { return strides_[static_cast<size_t>(i)]; }  // in elements
  void SetStride(int i, int64_t elements) { strides_[static_cast<size_t>(i)] = elements; }

  // The first element as T. The caller has looked at dtype().
  template <class T>
  auto* As() const {
    if constexpr (std::is_const_v<Byte>) {
      return reinterpret_cast<const T*>(data_);
    } else {
      return reinterpret_cast<T*>(data_);
    }
  }

  // Elements [begin, end) of dimension i.
  BasicView Slice(int i, int64_t begin, int64_t end) const {
    BasicView v = *this;
    v.data_ = data_ + begin * stride(i) * SizeOf(dtype_);
    v.shape_[i] = end - begin;
    return v;
  }
  BasicView Rows(int64_t begin, int64_t end) const { return Slice(0, begin, end); }
  BasicView Cols(int64_t begin, int64_t end) const { return Slice(rank() - 1, begin, end); }
  // Element k of the outermost dimension, with one dimension fewer.
  BasicView At(int64_t k) const {
    BasicView v;
    v.data_ = data_ + k * stride(0) * SizeOf(dtype_);
    v.dtype_ = dtype_;
    for (int i = 1; i < rank(); ++i) {
      v.shape_.push_back(dim(i));
      v.SetStride(i - 1, stride(i));
    }
    return v;
  }

  // True if the elements lie without gaps in row-major order.
  bool IsDense() const {
    int64_t expected = 1;
    for (int i = rank() - 1; i >= 0; --i) {
      if (dim(i) != 1 && stride(i) != expected) return false;
      expected *= dim(i);
    }
    return true;
  }
  // The same elements under another shape; only for dense views of equal element count.
  BasicView Reshaped(const Shape& shape) const { return BasicView(data_, dtype_, shape); }

 private:
  Byte* data_ = nullptr;
  DType dtype_ = DType::kF32;
  Shape shape_;
  std::array<int64_t, Shape::kMaxRank> strides_{};
};

using TensorView = BasicView<std::byte>;
using ConstTensorView = BasicView<const std::byte>;

// Dense view of `shape.NumElements()` values of T at `data`.
template <class T>
TensorView ViewOf(T* data, const Shape& shape) {
  return TensorView(reinterpret_cast<std::byte*>(data), internal::DTypeOf<T>(), shape);
}
template <class T>
ConstTensorView ViewOf(const T* data, const Shape& shape) {
  return ConstTensorView(reinterpret_cast<const std::byte*>(data), internal::DTypeOf<T>(), shape);
}

}  // namespace kontext

#endif  // KONTEXT_TENSOR_VIEW_H_
