// Rows: how ops that work along the last dimension walk a tensor of any rank and strides.
#ifndef KONTEXT_COMPUTE_CPU_ROWS_H_
#define KONTEXT_COMPUTE_CPU_ROWS_H_

#include <algorithm>
#include <cstdint>

#include "tensor/view.h"

namespace kontext::cpu {

struct InRow {
  const void* data;
  DType dtype;
};
struct OutRow {
  void* data;
  DType dtype;
};

// Where row r begins, in elements; rows are counted in row-major order over all dimensions but the
// last.
inline int64_t RowOffset(const ConstTensorView& v, int64_t r) {
  int64_t offset = 0;
  for (int i = v.rank() - 2; i >= 0; --i) {
    offset += r % v.dim(i) * v.stride(i);
    r /= v.dim(i);
  }
  return offset;
}
inline InRow RowOf(const ConstTensorView& v, int64_t offset) {
  return {v.data() + offset * SizeOf(v.dtype()), v.dtype()};
}
inline OutRow RowOf(const TensorView& v, int64_t offset) {
  return {v.data() + offset * SizeOf(v.dtype()), v.dtype()};
}

// The rows of an elementwise op. Where all its views are dense, rows are pieces of one length
// instead, so that a long vector is shared out, too.
class RowWalk {
 public:
  RowWalk(const ConstTensorView& like, bool all_dense)
      : dense_(all_dense), elements_(like.shape().NumElements()) {
    width_ = dense_ ? std::min<int64_t>(elements_, 4096) : like.shape().back();
    rows_ = width_ > 0 ? (elements_ + width_ - 1) / width_ : 0;
  }
  int64_t rows() const { return rows_; }
  int64_t width() const { return width_; }
  int64_t width(int64_t r) const { return std::min(width_, elements_ - r * width_); }
  int64_t offset(const ConstTensorView& v, int64_t r) const {
    return dense_ ? r * width_ : RowOffset(v, r);
  }

 private:
  bool dense_;
  int64_t elements_, width_ = 0, rows_ = 0;
};

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_ROWS_H_
