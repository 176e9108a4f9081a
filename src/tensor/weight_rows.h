// WeightRows: a weight as its file keeps it. Either plain numbers (a view), or rows in an encoding
// of the file's own (fp8 with scales, GGUF blocks, NF4, ...) that are decoded where they are used:
// nothing is widened as a whole, and a mapped file stays the only copy.
#ifndef KONTEXT_TENSOR_WEIGHT_ROWS_H_
#define KONTEXT_TENSOR_WEIGHT_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/arena.h"
#include "tensor/view.h"

namespace kontext {

using ByteSpan = std::span<const std::byte>;

// A matrix [rows, columns] in a file's encoding. Immutable; may be used by many threads at once.
class EncodedMatrix {
 public:
  // A run of columns that is decoded at once begins at a multiple of this.
  static constexpr int64_t kGranule = 256;

  EncodedMatrix(int64_t rows, int64_t columns) : rows(rows), columns(columns) {}
  virtual ~EncodedMatrix() = default;
  EncodedMatrix(const EncodedMatrix&) = delete;
  EncodedMatrix& operator=(const EncodedMatrix&) = delete;

  // The values of row `row`, columns [begin, end), as f32 to out[0 .. end - begin). `begin` is a
  // multiple of kGranule, and `end` is one, too, or is `columns`. Does not allocate.
  virtual void Decode(int64_t row, int64_t begin, int64_t end, float* out) const = 0;
  // Where the encoded bytes of rows [begin, end) lie in mapped files: what reading them touches.
  virtual void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const = 0;
  // For people and tables: "Q4_K", "fp8 E4M3 with scale", "NF4".
  virtual std::string encoding() const = 0;

  const int64_t rows, columns;
};

class WeightRows {
 public:
  WeightRows() = default;            // empty
  WeightRows(ConstTensorView dense)  // NOLINT: implicit, as view to view
      : dense_(dense), shape_(dense.shape()) {}
  WeightRows(TensorView dense) : WeightRows(ConstTensorView(dense)) {}  // NOLINT: as above
  // Dense values that no file has as they are; they live as long as any WeightRows of them.
  explicit WeightRows(std::shared_ptr<const Tensor> owned) : WeightRows(owned->view()) {
    owned_ = std::move(owned);
  }
  // `shape` has the elements of the matrix: [rows, columns], [n] (one row), [N,C,k,k] (N rows).
  WeightRows(std::shared_ptr<const EncodedMatrix> encoded, const Shape& shape)
      : encoded_(std::move(encoded)), shape_(shape) {}

  bool empty() const { return dense_.empty() && encoded_ == nullptr; }
  bool is_encoded() const { return encoded_ != nullptr; }
  const ConstTensorView& dense() const { return dense_; }  // only if not encoded
  const EncodedMatrix* encoded() const { return encoded_.get(); }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int i) const { return shape_[i]; }
  std::string encoding() const {  // "BF16", "Q4_K"
    return is_encoded() ? encoded_->encoding() : std::string(Name(dense_.dtype()));
  }

  // Of encoded rows: which row of the encoded matrix is the first.
  int64_t first_row() const { return first_row_; }

  // Rows [begin, end) of a matrix or a vector's elements, of dense weights of any rank; of encoded
  // ones of rank 2 and more.
  WeightRows Rows(int64_t begin, int64_t end) const;
  // The same elements; the outermost size stays.
  WeightRows Reshaped(const Shape& shape) const;

  // Row `row`, columns [begin, end), as f32: see EncodedMatrix::Decode. Dense weights must be F32,
  // BF16 or F16 without gaps in a row; a row is all that follows the first dimension, and a vector
  // is one row.
  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const;
  // All elements, row by row.
  void DecodeAll(float* out) const;
  // Appends the bytes of files that reading these rows touches.
  void Touches(std::vector<ByteSpan>& spans) const;

 private:
  int64_t matrix_rows() const { return rank() < 2 ? 1 : dim(0); }
  int64_t matrix_columns() const;

  ConstTensorView dense_;
  std::shared_ptr<const Tensor> owned_;  // what dense_ views, if it is not a file
  std::shared_ptr<const EncodedMatrix> encoded_;
  int64_t first_row_ = 0;  // of encoded_
  Shape shape_;
};

}  // namespace kontext

#endif  // KONTEXT_TENSOR_WEIGHT_ROWS_H_
