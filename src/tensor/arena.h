// Buffer: one owned, 64-byte aligned block. Arena: one Buffer from which the tensors of a network's
// run are cut, so that peak memory is one number and the step loop allocates nothing.
#ifndef KONTEXT_TENSOR_ARENA_H_
#define KONTEXT_TENSOR_ARENA_H_

#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "tensor/view.h"

namespace kontext {

class Buffer {
 public:
  Buffer() = default;
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  // `bytes` of memory on a 64-byte boundary, not cleared. kNoSpace if the system has none.
  static Result<Buffer> Allocate(int64_t bytes);

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

// A tensor that owns its memory.
class Tensor {
 public:
  Tensor() = default;
  static Result<Tensor> Allocate(DType dtype, const Shape& shape);

  TensorView view() { return TensorView(buffer_.data(), dtype_, shape_); }
  ConstTensorView view() const { return ConstTensorView(buffer_.data(), dtype_, shape_); }
  const Shape& shape() const { return shape_; }
  int64_t bytes() const { return buffer_.bytes(); }

 private:
  Buffer buffer_;
  DType dtype_ = DType::kF32;
  Shape shape_;
};

// Two passes over the same code: a planning Arena (no memory) adds up the bytes that Take() asks
// for, a second one made with that size hands them out.
class Arena {
 public:
  Arena() = default;                             // plans
  static Result<Arena> Allocate(int64_t bytes);  // hands out

  // The next tensor. Planning: a view without data. kInternal when the plan was too small.
  Result<TensorView> Take(DType dtype, const Shape& shape);

  int64_t used_bytes() const { return used_; }
  int64_t capacity_bytes() const { return buffer_.bytes(); }

 private:
  Buffer buffer_;
  int64_t used_ = 0;
};

}  // namespace kontext

#endif  // KONTEXT_TENSOR_ARENA_H_
