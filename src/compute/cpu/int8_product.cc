#include "compute/cpu/int8_product.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "compute/cpu/int8_amx.h"
#include "compute/cpu/int8_rows.h"
#include "compute/cpu/int8_tile.h"
#include "compute/cpu/parallel.h"
#include "tensor/convrot.h"

namespace kontext::cpu {
namespace {

static_assert(kInt8Features == PackedInt8::kRows && kInt8Depth == PackedInt8::kColumns);

// Sizes of what a thread works on: a feature block of one slice of k (16 x 3072 bytes) stays in the
// caches while the row panels of a block (96 rows) pass, again and again from the second cache.
// Measured: SPEED.md. A slice's sums stay below 2^31: 3072 * 255 * 127.
static_assert(kInt8Slice % kRotationGroup == 0 && kInt8Slice * 255 * 127 < (int64_t{1} << 31));
constexpr int64_t kTaskBlocks = 16;  // feature blocks of a task
constexpr int64_t kAlign = 64;

struct Cut {
  int64_t rows;   // of a row panel
  int64_t block;  // row panels that meet the feature blocks of a task
  int64_t chunk;  // row panels that are in 8 bits at a time
  int64_t sums() const { return block * rows * kTaskBlocks * kInt8Features; }
};
Cut CutFor(Int8Path path) {
  return path == Int8Path::kAmx ? Cut{kInt8AmxRows, 8, 96} : Cut{kInt8Rows, 16, 256};
}

// AMX takes whole registers of columns.
Int8Path PathFor(Int8Path path, int64_t columns) {
  const bool whole = columns % kInt8AmxDepth == 0;
  return path == Int8Path::kAmx && !whole ? Int8Path::kAvx512Vnni : path;
}

int64_t Slices(int64_t columns) { return CeilDiv(columns, kInt8Slice); }

// The activations of a chunk, and a thread's scratch memory.
int64_t PanelBytes(const Cut& cut, int64_t columns) {
  return cut.rows * PackedInt8::PaddedColumns(columns);
}
int64_t ChunkBytes(const Cut& cut, int64_t panels, int64_t columns) {
  return RoundUp(panels * PanelBytes(cut, columns), kAlign) +
         Slices(columns) * panels * cut.rows * 8;
}
int64_t ThreadBytes(const Cut& cut, int64_t columns) {
  const int64_t sums = cut.sums() * 4 * (Slices(columns) == 1 ? 1 : 2);  // and the total of slices
  return std::max(sums, kInt8Slice * 5);                                 // a slice as f32 and int8
}

// A piece of the weights: feature blocks of one part.
struct Piece {
  const Int8Weights::Part* part;
  int64_t block, blocks;  // of the part
  int64_t column;         // of dst
};

class Run {
 public:
  Run(Int8Path path, const Int8Product& p)
      : path_(PathFor(path, p.src.dim(1))),
        cut_(CutFor(path_)),
        p_(p),
        rows_(p.src.dim(0)),
        columns_(p.src.dim(1)) {
    int64_t first = 0;
    for (const Int8Weights::Part& part : p.weight) {
      const int64_t blocks = CeilDiv(part.rows, kInt8Features);
      for (int64_t b = 0; b < blocks; b += kTaskBlocks) {
        pieces_.push_back({&part, b, std::min(kTaskBlocks, blocks - b), first + b * kInt8Features});
      }
      first += part.rows;
    }
  }

  Status Prepare(Workspace& space) {
    panels_ = CeilDiv(rows_, cut_.rows);
    chunk_ = std::min(panels_, cut_.chunk);
    threads_ = ThreadsFor(static_cast<double>(p_.dst.shape().NumElements()) *
                          static_cast<double>(columns_) / 16);
    KX_ASSIGN_OR_RETURN(std::byte * memory,
                        space.Bytes(Slot::kRowPanels, ChunkBytes(cut_, chunk_, columns_)));
    q_ = reinterpret_cast<int8_t*>(memory);
    memory += RoundUp(chunk_ * PanelBytes(cut_, columns_), kAlign);
    scale_ = reinterpret_cast<float*>(memory);
    sums_ = reinterpret_cast<int32_t*>(scale_ + Slices(columns_) * chunk_ * cut_.rows);
    thread_bytes_ = RoundUp(ThreadBytes(cut_, columns_), kAlign);
    KX_ASSIGN_OR_RETURN(scratch_, space.Bytes(Slot::kThreads, threads_ * thread_bytes_));
    return Status();
  }

  void Execute() {
#pragma omp parallel num_threads(threads_)
    for (int64_t first = 0; first < panels_; first += chunk_) {
      const int64_t panels = std::min(chunk_, panels_ - first);
      std::byte* mine = scratch_ + omp_get_thread_num() * thread_bytes_;
#pragma omp for schedule(static)
      for (int64_t i = 0; i < panels; ++i) Quantise(first, i, reinterpret_cast<float*>(mine));
      const int64_t row_blocks = CeilDiv(panels, cut_.block);
      const int64_t tasks = row_blocks * std::ssize(pieces_);
#pragma omp for schedule(dynamic)
      for (int64_t i = 0; i < tasks; ++i) {
        Compute(pieces_[static_cast<size_t>(i / row_blocks)], first, i % row_blocks * cut_.block,
                panels, reinterpret_cast<int32_t*>(mine));
      }
    }
  }

 private:
  void Quantise(int64_t first, int64_t panel, float* scratch) const {
    const int64_t row = (first + panel) * cut_.rows;
    QuantisePanel({.src = p_.src,
                   .row = row,
                   .count = std::min(cut_.rows, rows_ - row),
                   .norm = p_.norm,
                   .rotation = p_.rotation},
                  scratch,
                  {.q = q_ + panel * PanelBytes(cut_, columns_),
                   .scale = scale_ + panel * cut_.rows,
                   .sums = sums_ + panel * cut_.rows,
                   .stride = chunk_ * cut_.rows,
                   .amx = path_ == Int8Path::kAmx});
  }

  // A piece of the weights by the row panels [panel, panel + cut_.block) of the chunk.
  void Compute(const Piece& piece, int64_t first, int64_t panel, int64_t chunk_panels,
               int32_t* sums) const {
    const int64_t padded = PackedInt8::PaddedColumns(columns_);
    Int8Tiles t;
    t.a_stride = PanelBytes(cut_, columns_);
    t.b_stride = kInt8Features * padded;
    t.panels = std::min(cut_.block, chunk_panels - panel);
    t.blocks = piece.blocks;
    t.sums = sums;
    float* total = reinterpret_cast<float*>(sums + cut_.sums());
    Int8Sums slice{.sums = sums,
                   .panels = t.panels,
                   .blocks = t.blocks,
                   .panel_rows = cut_.rows,
                   .row_scale = scale_ + panel * cut_.rows,
                   .row_sums = sums_ + panel * cut_.rows};
    for (int64_t k = 0; k < padded; k += kInt8Slice) {
      if (k > 0) {
        AddInt8Slice(slice, k == kInt8Slice, total);
        slice.row_scale += chunk_ * cut_.rows;
        slice.row_sums += chunk_ * cut_.rows;
      }
      t.a = q_ + panel * t.a_stride + k * cut_.rows;
      t.b = piece.part->in.weight + piece.block * t.b_stride + k * kInt8Features;
      t.quads = std::min(kInt8Slice, padded - k) / kInt8Depth;
      ComputeInt8Tiles(path_, t);
    }
    const int64_t row = (first + panel) * cut_.rows, n = piece.column;
    const int64_t begin = piece.block * kInt8Features;
    const int64_t row_end = std::min(rows_, row + t.panels * cut_.rows);
    const int64_t n_end = n + std::min(t.blocks * kInt8Features, piece.part->rows - begin);
    const auto cut = [&](const auto& v) { return v.Rows(row, row_end).Cols(n, n_end); };
    Int8Results r{.last = slice,
                  .total = Slices(columns_) == 1 ? nullptr : total,
                  .scale = piece.part->in.scale + begin,
                  .branches = {},
                  .epilogue = p_.epilogue,
                  .dst = cut(p_.dst)};
    if (!p_.branches.empty()) r.branches = cut(p_.branches);
    if (r.epilogue.bias != nullptr) r.epilogue.bias += n;
    if (r.epilogue.gate != nullptr) r.epilogue.gate += n;
    if (!r.epilogue.addend.empty()) r.epilogue.addend = cut(p_.epilogue.addend);
    FinishInt8(r);
  }

  const Int8Path path_;
  const Cut cut_;
  const Int8Product& p_;
  const int64_t rows_, columns_;
  std::vector<Piece> pieces_;
  int64_t panels_ = 0, chunk_ = 0;
  int threads_ = 1;
  int8_t* q_ = nullptr;
  float* scale_ = nullptr;   // [slices][chunk_][rows], as Int8Panel's
  int32_t* sums_ = nullptr;  // the same
  std::byte* scratch_ = nullptr;
  int64_t thread_bytes_ = 0;
};

// The rows where they lie in a mapped file, if they are in the form that the product reads.
const PackedInt8* InPlace(const WeightRows& rows) {
  const auto* packed = dynamic_cast<const PackedInt8*>(rows.encoded());
  if (packed == nullptr || packed->parts.rotation != PackedInt8::RotationFor(packed->columns) ||
      rows.first_row() % PackedInt8::kRows != 0) {
    return nullptr;
  }
  return packed;
}

Int8Weights::Part PartOf(const PackedInt8& packed, int64_t first_row, int64_t rows) {
  PackedInt8::Parts in = packed.parts;
  in.weight += first_row * PackedInt8::PaddedColumns(packed.columns);
  in.scale += first_row;
  in.sums += first_row;
  return {in, rows};
}

int64_t EncodedBytes(int64_t rows, int64_t columns) {
  return RoundUp(PackedInt8::PaddedRows(rows) * (PackedInt8::PaddedColumns(columns) + 8), kAlign);
}

// All blocks of `source`, by all threads.
Status EncodeRows(const WeightRows& source, int8_t* weight, float* scale, int32_t* sums) {
  constexpr int64_t kRows = PackedInt8::kRows;
  const int64_t rows = source.dim(0), columns = source.dim(1);
  std::atomic<int64_t> bad_row = -1;
  const int threads = ThreadsFor(static_cast<double>(rows) * static_cast<double>(columns));
  KX_ASSIGN_OR_RETURN(Buffer scratch, Buffer::Allocate(threads * kRows * columns * 4));
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t begin = 0; begin < rows; begin += kRows) {
    float* values =
        reinterpret_cast<float*>(scratch.data()) + omp_get_thread_num() * kRows * columns;
    const int64_t count = std::min(kRows, rows - begin);
    float* pointers[kRows];
    for (int64_t r = 0; r < count; ++r) {
      pointers[r] = values + r * columns;
      source.Decode(begin + r, 0, columns, pointers[r]);
    }
    int64_t bad = 0;
    if (!EncodeInt8Block(pointers, count, columns, PackedInt8::RotationFor(columns),
                         weight + begin * PackedInt8::PaddedColumns(columns), scale + begin,
                         sums + begin, &bad)) {
      bad_row = begin + bad;
    }
  }
  if (bad_row < 0) return Status();
  return BadInput(
      "row {} of a weight {} has a value that is not finite; it cannot be in 8 bits: "
      "use --mode exact, or another file",
      bad_row.load(), source.shape().Str());
}

}  // namespace

Int8Weights::Int8Weights(const std::vector<WeightRows>& source)
    : source_(source), columns_(source.front().dim(1)) {
  for (const WeightRows& rows : source_) {
    if (InPlace(rows) == nullptr) bytes_ += EncodedBytes(rows.dim(0), columns_);
  }
}

Result<std::vector<Int8Weights::Part>> Int8Weights::Encode(std::byte* memory) const {
  std::vector<Part> parts;
  for (const WeightRows& rows : source_) {
    if (const PackedInt8* packed = InPlace(rows)) {
      parts.push_back(PartOf(*packed, rows.first_row(), rows.dim(0)));
      continue;
    }
    const int64_t padded = PackedInt8::PaddedRows(rows.dim(0));
    auto* weight = reinterpret_cast<int8_t*>(memory);
    auto* scale = reinterpret_cast<float*>(memory + padded * PackedInt8::PaddedColumns(columns_));
    auto* sums = reinterpret_cast<int32_t*>(scale + padded);
    KX_RETURN_IF_ERROR(EncodeRows(rows, weight, scale, sums));
    parts.push_back({{weight, scale, sums, rotation()}, rows.dim(0)});
    memory += EncodedBytes(rows.dim(0), columns_);
  }
  return parts;
}

Status MultiplyInt8(Int8Path path, const Int8Product& product, Workspace& space) {
  Run run(path, product);
  KX_RETURN_IF_ERROR(run.Prepare(space));
  run.Execute();
  return Status();
}

void Int8ProductSlots(Int8Path path, int64_t rows, int64_t depth, int64_t columns,
                      SlotBytes& bytes) {
  const Cut cut = CutFor(PathFor(path, depth));
  const int64_t panels = std::min(CeilDiv(rows, cut.rows), cut.chunk);
  Raise(bytes, Slot::kRowPanels, ChunkBytes(cut, panels, depth));
  Raise(bytes, Slot::kThreads, omp_get_max_threads() * RoundUp(ThreadBytes(cut, depth), kAlign));
  // Weights that are encoded in use.
  Raise(bytes, Slot::kColumnPanels, EncodedBytes(columns, depth));
}

}  // namespace kontext::cpu
