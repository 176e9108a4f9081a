// What lies before and behind the int8 tiles: activations into row panels, sums into results.
#ifndef KONTEXT_COMPUTE_CPU_INT8_ROWS_H_
#define KONTEXT_COMPUTE_CPU_INT8_ROWS_H_

#include <cstdint>

#include "compute/cpu/int8_tile.h"
#include "compute/cpu/norm.h"
#include "compute/cpu/panels.h"
#include "compute/ops.h"
#include "tensor/view.h"

namespace kontext::cpu {

// A row panel of activations in 8 bits (ops.h, Precision::kInt8): q [K/4][6][4], with VNNI q + 128;
// for AMX [K/64][16][64]. Zeros past the last row and column.
struct Int8Panel {
  Int8Path path;  // for kAmx K is a multiple of 64
  int8_t* q;
  float* scale;   // [slices][rows], `stride` from slice to slice: x R = q * scale
  int32_t* sums;  // the same, to be taken off the tiles' sums: 128 * sum q for kMaddubs, else 0
  int64_t stride;

  int64_t rows() const { return path == Int8Path::kAmx ? kInt8AmxRows : kInt8Rows; }
};
// The rows from `row` on of src [T,K] that there are, each normed first if there is a norm, then
// turned.
struct Int8Source {
  ConstTensorView src;
  int64_t row;
  const RowNorm* norm = nullptr;
  int64_t rotation = 1;
};
constexpr int64_t kInt8PackBytes = kInt8Slice * 5;  // a slice as floats and as bytes
// Packs a panel's worth of them. `scratch` holds kInt8PackBytes.
void QuantisePanel(const Int8Source& rows, float* scratch, const Int8Panel& panel);

// The sums of a slice over row panels by feature blocks, and what their rows were scaled by.
struct Int8Sums {
  const int32_t* sums;  // as Int8Tiles'
  int64_t panels = 0, blocks = 0;
  int64_t panel_rows = kInt8Rows;
  const float* row_scale;   // per row
  const int32_t* row_sums;  // Int8Panel's, per row
};
// total (+)= row_scale * (sums - row_sums), in the order of the sums.
void AddInt8Slice(const Int8Sums& slice, bool first, float* total);

// The last slice, after `total` of those before it (nullptr if there are none) -> dst.
struct Int8Results {
  Int8Sums last;
  const float* total = nullptr;
  const float* scale;        // per feature
  ConstTensorView branches;  // [rows, columns] F32 to be added before the activation, or empty
  Epilogue epilogue;
  TensorView dst;  // [rows, columns], which may end inside the last panel and block
};
void FinishInt8(const Int8Results& results);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_ROWS_H_
