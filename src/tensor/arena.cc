#include "tensor/arena.h"

#include <cstdlib>
#include <utility>

namespace kontext {
namespace {

constexpr int64_t kAlign = 64;  // one cache line, and the widest vector register

constexpr int64_t RoundUp(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

}  // namespace

Buffer::~Buffer() { std::free(data_); }

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Result<Buffer> Buffer::Allocate(int64_t bytes) {
  if (bytes < 0) return Internal("a buffer of {} bytes was asked for", bytes);
  Buffer b;
  b.data_ = static_cast<std::byte*>(
      std::aligned_alloc(kAlign, static_cast<size_t>(RoundUp(bytes == 0 ? 1 : bytes))));
  if (b.data_ == nullptr) {
    return NoSpace("not enough memory for a buffer of {} bytes; try a smaller --size", bytes);
  }
  b.bytes_ = bytes;
  return b;
}

Result<Tensor> Tensor::Allocate(DType dtype, const Shape& shape) {
  Tensor t;
  KX_ASSIGN_OR_RETURN(t.buffer_, Buffer::Allocate(shape.NumElements() * SizeOf(dtype)));
  t.dtype_ = dtype;
  t.shape_ = shape;
  return t;
}

Result<Arena> Arena::Allocate(int64_t bytes) {
  Arena a;
  KX_ASSIGN_OR_RETURN(a.buffer_, Buffer::Allocate(bytes));
  return a;
}

Result<TensorView> Arena::Take(DType dtype, const Shape& shape) {
  const int64_t begin = used_;
  used_ += RoundUp(shape.NumElements() * SizeOf(dtype));
  if (buffer_.data() == nullptr) return TensorView(nullptr, dtype, shape);
  if (used_ > buffer_.bytes()) {
    return Internal("the arena holds {} bytes, the plan missed {}", buffer_.bytes(), shape.Str());
  }
  return TensorView(buffer_.data() + begin, dtype, shape);
}

}  // namespace kontext
