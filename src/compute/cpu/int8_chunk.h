// What products in 8 bits are made of: a chunk of activations in row panels, and the task that
// multiplies some of them by a piece of a weight and finishes the result.
#ifndef KONTEXT_COMPUTE_CPU_INT8_CHUNK_H_
#define KONTEXT_COMPUTE_CPU_INT8_CHUNK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "compute/cpu/cpu_features.h"
#include "compute/cpu/int8_rows.h"
#include "compute/cpu/int8_weights.h"
#include "compute/cpu/panels.h"
#include "tensor/view.h"

namespace kontext::cpu {

constexpr int64_t kInt8TaskBlocks = 16;  // feature blocks of a task

// How rows are cut. A feature block of one slice of k (16 x 3072 bytes) stays in the caches while
// the row panels of a block (96 rows) pass, again and again from the second cache. Measured:
// SPEED.md.
struct Int8Cut {
  int64_t rows;   // of a row panel
  int64_t block;  // row panels that meet the feature blocks of a task
  int64_t chunk;  // row panels that are in 8 bits at a time
  int64_t sums() const { return block * rows * kInt8TaskBlocks * kInt8Features; }
};
Int8Cut Int8CutFor(Int8Path path);

int64_t Int8Slices(int64_t columns);

// Row panels of activations [.., columns] in 8 bits, one after the other, their slices' scales
// apart.
class Int8Chunk {
 public:
  static int64_t Bytes(const Int8Cut& cut, int64_t panels, int64_t columns);
  // `memory` holds so much on a 64-byte boundary.
  Int8Chunk(Int8Path path, int64_t panels, int64_t columns, std::byte* memory);

  // Where panel i is packed, from slice `slice` on.
  Int8Panel Panel(int64_t i, int64_t slice = 0) const;

  Int8Path path;
  Int8Cut cut;
  int64_t columns;
  int64_t panel_bytes;
  int64_t stride;  // rows of all panels
  int8_t* q;
  float* scale;   // [slices][stride], as Int8Panel's
  int32_t* sums;  // the same
};

// Feature blocks of one part of a weight, at most those of a task.
struct Int8Piece {
  const Int8Weights::Part* part;
  int64_t block, blocks;  // of the part
  int64_t column;         // of the result
};
std::vector<Int8Piece> PiecesOf(const std::vector<Int8Weights::Part>& weight);

// Row panels [panel, panel + panels) of a chunk by a piece.
struct Int8Task {
  const Int8Chunk& chunk;
  int64_t panel, panels;
  const Int8Piece& piece;
  ConstTensorView branches;  // these rows of [T,N] F32, to be added before the activation, or empty
  Epilogue epilogue;         // its vectors are those of all columns, its addend these rows
  TensorView dst;            // these rows, which may end inside the last panel
};
// `memory` holds Int8TaskBytes.
void MultiplyPiece(const Int8Task& task, int32_t* memory);
int64_t Int8TaskBytes(const Int8Cut& cut, int64_t columns);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_CHUNK_H_
