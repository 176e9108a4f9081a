#include "compute/cpu/int8_chunk.h"

#include <algorithm>

#include "compute/cpu/int8_amx.h"
#include "compute/cpu/int8_tile.h"
#include "tensor/convrot.h"

namespace kontext::cpu {
namespace {

static_assert(kInt8Features == PackedInt8::kRows && kInt8Depth == PackedInt8::kColumns);
// A slice's sums stay below 2^31.
static_assert(kInt8Slice % kRotationGroup == 0 && kInt8Slice * 255 * 127 < (int64_t{1} << 31));
constexpr int64_t kAlign = 64;

int64_t PanelBytes(const Int8Cut& cut, int64_t columns) {
  return cut.rows * PackedInt8::PaddedColumns(columns);
}

}  // namespace

Int8Cut Int8CutFor(Int8Path path) {
  return path == Int8Path::kAmx ? Int8Cut{kInt8AmxRows, 8, 96} : Int8Cut{kInt8Rows, 16, 256};
}

int64_t Int8Slices(int64_t columns) { return CeilDiv(columns, kInt8Slice); }

int64_t Int8Chunk::Bytes(const Int8Cut& cut, int64_t panels, int64_t columns) {
  return RoundUp(panels * PanelBytes(cut, columns), kAlign) +
         RoundUp(Int8Slices(columns) * panels * cut.rows * 8, kAlign);
}

Int8Chunk::Int8Chunk(Int8Path p, int64_t panels, int64_t k, std::byte* memory)
    : path(p),
      cut(Int8CutFor(p)),
      columns(k),
      panel_bytes(PanelBytes(cut, k)),
      stride(panels * cut.rows),
      q(reinterpret_cast<int8_t*>(memory)),
      scale(reinterpret_cast<float*>(memory + RoundUp(panels * panel_bytes, kAlign))),
      sums(reinterpret_cast<int32_t*>(scale + Int8Slices(k) * stride)) {}

Int8Panel Int8Chunk::Panel(int64_t i, int64_t slice) const {
  const int64_t row = slice * stride + i * cut.rows;
  return {.path = path,
          .q = q + i * panel_bytes + slice * kInt8Slice * cut.rows,
          .scale = scale + row,
          .sums = sums + row,
          .stride = stride};
}

std::vector<Int8Piece> PiecesOf(const std::vector<Int8Weights::Part>& weight) {
  std::vector<Int8Piece> pieces;
  int64_t first = 0;
  for (const Int8Weights::Part& part : weight) {
    const int64_t blocks = CeilDiv(part.rows, kInt8Features);
    for (int64_t b = 0; b < blocks; b += kInt8TaskBlocks) {
      pieces.push_back(
          {&part, b, std::min(kInt8TaskBlocks, blocks - b), first + b * kInt8Features});
    }
    first += part.rows;
  }
  return pieces;
}

int64_t Int8TaskBytes(const Int8Cut& cut, int64_t columns) {
  return RoundUp(cut.sums() * 4 * (Int8Slices(columns) == 1 ? 1 : 2), kAlign);  // and their total
}

void MultiplyPiece(const Int8Task& task, int32_t* sums) {
  const Int8Chunk& x = task.chunk;
  const Int8Piece& piece = task.piece;
  const int64_t rows = x.cut.rows, padded = PackedInt8::PaddedColumns(x.columns);
  Int8Tiles t;
  t.a_stride = x.panel_bytes;
  t.b_stride = kInt8Features * padded;
  t.panels = task.panels;
  t.blocks = piece.blocks;
  t.sums = sums;
  float* total = reinterpret_cast<float*>(sums + x.cut.sums());
  Int8Sums slice{.sums = sums,
                 .panels = t.panels,
                 .blocks = t.blocks,
                 .panel_rows = rows,
                 .row_scale = x.scale + task.panel * rows,
                 .row_sums = x.sums + task.panel * rows};
  for (int64_t k = 0; k < padded; k += kInt8Slice) {
    if (k > 0) {
      AddInt8Slice(slice, k == kInt8Slice, total);
      slice.row_scale += x.stride;
      slice.row_sums += x.stride;
    }
    t.a = x.q + task.panel * t.a_stride + k * rows;
    t.b = piece.part->in.weight + piece.block * t.b_stride + k * kInt8Features;
    t.quads = std::min(kInt8Slice, padded - k) / kInt8Depth;
    ComputeInt8Tiles(x.path, t);
  }
  const int64_t n = piece.column, begin = piece.block * kInt8Features;
  const int64_t n_end = n + std::min(t.blocks * kInt8Features, piece.part->rows - begin);
  const auto cut = [&](const auto& v) { return v.Cols(n, n_end); };
  Int8Results r{.last = slice,
                .total = Int8Slices(x.columns) == 1 ? nullptr : total,
                .scale = piece.part->in.scale + begin,
                .branches = {},
                .epilogue = task.epilogue,
                .dst = cut(task.dst)};
  if (!task.branches.empty()) r.branches = cut(task.branches);
  if (r.epilogue.bias != nullptr) r.epilogue.bias += n;
  if (r.epilogue.gate != nullptr) r.epilogue.gate += n;
  if (!r.epilogue.addend.empty()) r.epilogue.addend = cut(task.epilogue.addend);
  FinishInt8(r);
}

}  // namespace kontext::cpu
