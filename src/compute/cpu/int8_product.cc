#include "compute/cpu/int8_product.h"

#include <algorithm>

#include "compute/cpu/int8_amx.h"
#include "compute/cpu/int8_chunk.h"
#include "compute/cpu/parallel.h"

namespace kontext::cpu {
namespace {

// AMX takes whole registers of columns.
Int8Path PathFor(Int8Path path, int64_t columns) {
  const bool whole = columns % kInt8AmxDepth == 0;
  return path == Int8Path::kAmx && !whole ? Int8Path::kAvx512Vnni : path;
}

// For packing, then for multiplying.
int64_t ThreadBytes(const Int8Cut& cut, int64_t columns) {
  return std::max(Int8TaskBytes(cut, columns), kInt8PackBytes);
}

class Run {
 public:
  Run(Int8Path path, const Int8Product& p)
      : path_(PathFor(path, p.src.dim(1))),
        cut_(Int8CutFor(path_)),
        p_(p),
        rows_(p.src.dim(0)),
        pieces_(PiecesOf(p.weight)) {}

  Status Execute(Workspace& space) {
    const int64_t columns = p_.src.dim(1), all = CeilDiv(rows_, cut_.rows);
    const int64_t most = std::min(all, cut_.chunk);
    const int threads = ThreadsFor(static_cast<double>(p_.dst.shape().NumElements()) *
                                   static_cast<double>(columns) / 16);
    KX_ASSIGN_OR_RETURN(std::byte * packed,
                        space.Bytes(Slot::kRowPanels, Int8Chunk::Bytes(cut_, most, columns)));
    const int64_t thread_bytes = ThreadBytes(cut_, columns);
    KX_ASSIGN_OR_RETURN(std::byte * scratch, space.Bytes(Slot::kThreads, threads * thread_bytes));
    const Int8Chunk chunk(path_, most, columns, packed);
#pragma omp parallel num_threads(threads)
    for (int64_t first = 0; first < all; first += most) {
      const int64_t panels = std::min(most, all - first);
      std::byte* mine = scratch + omp_get_thread_num() * thread_bytes;
#pragma omp for schedule(static)
      for (int64_t i = 0; i < panels; ++i) {
        QuantisePanel({.src = p_.src,
                       .row = (first + i) * cut_.rows,
                       .norm = p_.norm,
                       .rotation = p_.weight.front().in.rotation},
                      reinterpret_cast<float*>(mine), chunk.Panel(i));
      }
      const int64_t row_blocks = CeilDiv(panels, cut_.block);
      const int64_t tasks = row_blocks * std::ssize(pieces_);
#pragma omp for schedule(dynamic)
      for (int64_t i = 0; i < tasks; ++i) {
        const int64_t panel = i % row_blocks * cut_.block;
        Compute(chunk, first, panel, std::min(cut_.block, panels - panel),
                pieces_[static_cast<size_t>(i / row_blocks)], reinterpret_cast<int32_t*>(mine));
      }
    }
    return Status();
  }

 private:
  // `first` is the chunk's first panel.
  void Compute(const Int8Chunk& chunk, int64_t first, int64_t panel, int64_t panels,
               const Int8Piece& piece, int32_t* sums) const {
    const int64_t row = (first + panel) * cut_.rows;
    const auto cut = [&](const auto& v) {
      return v.Rows(row, std::min(rows_, row + panels * cut_.rows));
    };
    Int8Task task{chunk, panel, panels, piece, {}, p_.epilogue, cut(p_.dst)};
    if (!p_.branches.empty()) task.branches = cut(p_.branches);
    if (!p_.epilogue.addend.empty()) task.epilogue.addend = cut(p_.epilogue.addend);
    MultiplyPiece(task, sums);
  }

  const Int8Path path_;
  const Int8Cut cut_;
  const Int8Product& p_;
  const int64_t rows_;
  const std::vector<Int8Piece> pieces_;
};

}  // namespace

Status MultiplyInt8(Int8Path path, const Int8Product& product, Workspace& space) {
  return Run(path, product).Execute(space);
}

void Int8ProductSlots(Int8Path path, int64_t rows, int64_t depth, int64_t columns,
                      SlotBytes& bytes) {
  const Int8Cut cut = Int8CutFor(PathFor(path, depth));
  const int64_t panels = std::min(CeilDiv(rows, cut.rows), cut.chunk);
  Raise(bytes, Slot::kRowPanels, Int8Chunk::Bytes(cut, panels, depth));
  Raise(bytes, Slot::kThreads, omp_get_max_threads() * ThreadBytes(cut, depth));
  // Weights that are encoded in use.
  Raise(bytes, Slot::kColumnPanels, EncodedInt8Bytes(columns, depth));
}

}  // namespace kontext::cpu
