// PackedInt8: a matrix in 8 bits, in the order in which int8 kernels read it (written by `kontext
// convert`).
//
//   weight   int8 [N/16][K/4][16][4]   row n, column k at n/16, k/4, n%16, k%4; N padded to 16 and
//                                      K to 4 with zeros. 64 bytes, one step of 16 rows by 4
//                                      columns, are a register of AVX-512 VNNI, two of AVX2, and a
//                                      row of an AMX tile.
//   scale    f32 [N]                   value = q * scale[n], q in -127..127
//   sums     int32 [N]                 sum over k of q: an activation in u8 with zero point z
//                                      needs z * sums[n] taken off
// With a rotation of 256 the columns are rotated in groups (tensor/convrot.h): W = (q * scale) R.
#ifndef KONTEXT_TENSOR_PACKED_INT8_H_
#define KONTEXT_TENSOR_PACKED_INT8_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensor/weight_rows.h"

namespace kontext {

class PackedInt8 : public EncodedMatrix {
 public:
  static constexpr int64_t kRows = 16;    // of a block
  static constexpr int64_t kColumns = 4;  // that lie side by side

  static int64_t PaddedRows(int64_t rows) { return (rows + kRows - 1) / kRows * kRows; }
  static int64_t PaddedColumns(int64_t columns) {
    return (columns + kColumns - 1) / kColumns * kColumns;
  }
  // The rotation a matrix of so many columns gets: groups of 256, or none (1).
  static int64_t RotationFor(int64_t columns);

  // The parts as above, mapped for as long as this lives.
  struct Parts {
    const int8_t* weight = nullptr;
    const float* scale = nullptr;
    const int32_t* sums = nullptr;
    int64_t rotation = 1;  // 1 or 256
  };
  PackedInt8(int64_t rows, int64_t columns, const Parts& parts)
      : EncodedMatrix(rows, columns), parts(parts) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override;
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override;
  std::string encoding() const override;  // "int8 rotated", "int8"

  const Parts parts;
};

// Encodes a block of up to 16 rows, rows[r] with `columns` values each, which are rotated in place.
// `weight` gets 16 * PaddedColumns bytes, `scale` and `sums` one value for each row given; rows
// that are missing are zeros. False if a value is not finite; *bad_row is then the row.
bool EncodeInt8Block(float* const* rows, int64_t count, int64_t columns, int64_t rotation,
                     int8_t* weight, float* scale, int32_t* sums, int64_t* bad_row);

}  // namespace kontext

#endif  // KONTEXT_TENSOR_PACKED_INT8_H_
