#include "weights/table.h"

namespace kontext {

bool Stack(std::vector<WeightRows>& pieces, const Shape& shape) {
  int64_t rows_left = shape[0];
  for (WeightRows& piece : pieces) {
    if (shape.rank() == 2 && piece.rank() == 4 && piece.dim(2) == 1 && piece.dim(3) == 1) {
      piece = piece.Reshaped({piece.dim(0), piece.dim(1)});
    }
    if (piece.rank() != shape.rank()) return false;
    for (int i = 1; i < shape.rank(); ++i) {
      if (piece.dim(i) != shape[i]) return false;
    }
    // Compared, not summed: the sizes come from a file.
    if (piece.dim(0) > rows_left) return false;
    rows_left -= piece.dim(0);
  }
  return rows_left == 0;
}

}  // namespace kontext
