#include "compute/cpu/int8_mlp.h"

#include <algorithm>

#include "compute/cpu/int8_chunk.h"
#include "compute/cpu/parallel.h"

namespace kontext::cpu {
namespace {

// What a thread works on, one after the other in its memory: a task's sums, the hidden numbers of a
// row block in one slice, and a slice as f32 and int8 for packing.
struct Mine {
  Mine(const Int8Cut& cut, int64_t columns, std::byte* memory)
      : sums(reinterpret_cast<int32_t*>(memory)),
        hidden(reinterpret_cast<float*>(memory + Int8TaskBytes(cut, columns))),
        packing(hidden + HiddenValues(cut)) {}
  static int64_t HiddenValues(const Int8Cut& cut) { return cut.block * cut.rows * kInt8Slice; }
  static int64_t Bytes(const Int8Cut& cut, int64_t columns) {
    return Int8TaskBytes(cut, columns) + HiddenValues(cut) * 4 + kInt8PackBytes;
  }

  int32_t* sums;
  float* hidden;
  float* packing;
};

class Run {
 public:
  Run(Int8Path path, const Int8Mlp& m)
      : path_(path),
        cut_(Int8CutFor(path)),
        m_(m),
        rows_(m.dst.dim(0)),
        beside_(m.beside.dim(1)),
        hidden_(m.in.front().rows),
        in_(PiecesOf(m.in)),
        out_(PiecesOf(m.out)) {}

  Status Execute(Workspace& space) {
    const int64_t in = m_.dst.dim(1), operand = beside_ + hidden_;
    const int64_t all = CeilDiv(rows_, cut_.rows), most = std::min(all, cut_.chunk);
    const int threads =
        ThreadsFor(static_cast<double>(rows_ * hidden_) * static_cast<double>(in) / 16);
    KX_ASSIGN_OR_RETURN(std::byte * packed_in,
                        space.Bytes(Slot::kRowPanels, Int8Chunk::Bytes(cut_, most, in)));
    KX_ASSIGN_OR_RETURN(std::byte * packed_hidden,
                        space.Bytes(Slot::kHidden, Int8Chunk::Bytes(cut_, most, operand)));
    const int64_t thread_bytes = Mine::Bytes(cut_, operand);
    KX_ASSIGN_OR_RETURN(std::byte * scratch, space.Bytes(Slot::kThreads, threads * thread_bytes));
    const Int8Chunk x(path_, most, in, packed_in), h(path_, most, operand, packed_hidden);
#pragma omp parallel num_threads(threads)
    {
      const Mine mine(cut_, operand, scratch + omp_get_thread_num() * thread_bytes);
      for (int64_t first = 0; first < all; first += most) {
        Chunk(x, h, first, std::min(most, all - first), mine);
      }
    }
    return Status();
  }

 private:
  // Called by all threads of the team: the row panels [first, first + panels) of src and dst.
  void Chunk(const Int8Chunk& x, const Int8Chunk& h, int64_t first, int64_t panels,
             const Mine& mine) const {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < panels; ++i) {
      const int64_t row = (first + i) * cut_.rows;
      const int64_t turn = m_.in.front().in.rotation;
      QuantisePanel({.src = m_.dst, .row = row, .norm = &m_.norm, .rotation = turn}, mine.packing,
                    x.Panel(i));
      if (beside_ > 0) PackOperand(m_.beside, row, h.Panel(i), mine);
    }
    // Slices outside: threads share one's weights.
    const int64_t blocks = CeilDiv(panels, cut_.block);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < blocks * Int8Slices(hidden_); ++i) {
      const int64_t panel = i % blocks * cut_.block;
      Hide(x, h, first, panel, std::min(cut_.block, panels - panel), i / blocks, mine);
    }
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < blocks * std::ssize(out_); ++i) {
      const int64_t panel = i % blocks * cut_.block;
      Finish(h, first, panel, std::min(cut_.block, panels - panel),
             out_[static_cast<size_t>(i / blocks)], mine);
    }
  }

  // Rows of what the second product reads.
  void PackOperand(const ConstTensorView& src, int64_t row, const Int8Panel& to,
                   const Mine& mine) const {
    QuantisePanel({.src = src, .row = row, .rotation = m_.out.front().in.rotation}, mine.packing,
                  to);
  }

  // A slice of the hidden columns for a row block: from the sums to the digits.
  void Hide(const Int8Chunk& x, const Int8Chunk& h, int64_t first, int64_t panel, int64_t panels,
            int64_t slice, const Mine& mine) const {
    const int64_t begin = slice * kInt8Slice, end = std::min(begin + kInt8Slice, hidden_);
    const int64_t rows = std::min(panels * cut_.rows, rows_ - (first + panel) * cut_.rows);
    const TensorView numbers = ViewOf(mine.hidden, {rows, end - begin});
    for (Int8Piece piece : in_) {
      if (piece.column < begin || piece.column >= end) continue;
      piece.column -= begin;  // of `numbers`
      Epilogue epilogue = m_.in_epilogue;
      if (epilogue.bias != nullptr) epilogue.bias += begin;
      MultiplyPiece({x, panel, panels, piece, {}, epilogue, numbers}, mine.sums);
    }
    for (int64_t i = 0; i < panels; ++i) {
      PackOperand(numbers, i * cut_.rows, h.Panel(panel + i, beside_ / kInt8Slice + slice), mine);
    }
  }

  void Finish(const Int8Chunk& h, int64_t first, int64_t panel, int64_t panels,
              const Int8Piece& piece, const Mine& mine) const {
    const int64_t row = (first + panel) * cut_.rows;
    const auto cut = [&](const auto& v) {
      return v.Rows(row, std::min(rows_, row + panels * cut_.rows));
    };
    Int8Task task{h, panel, panels, piece, {}, m_.out_epilogue, cut(m_.dst)};
    task.epilogue.addend = cut(m_.out_epilogue.addend);
    MultiplyPiece(task, mine.sums);
  }

  const Int8Path path_;
  const Int8Cut cut_;
  const Int8Mlp& m_;
  const int64_t rows_, beside_, hidden_;
  const std::vector<Int8Piece> in_, out_;
};

}  // namespace

bool Int8MlpTakes(Int8Path path, int64_t beside, int64_t in_parts) {
  return path != Int8Path::kAmx && beside % kInt8Slice == 0 && in_parts == 1;
}

Status MultiplyInt8Mlp(Int8Path path, const Int8Mlp& mlp, Workspace& space) {
  return Run(path, mlp).Execute(space);
}

void Int8MlpSlots(Int8Path path, int64_t rows, int64_t in, int64_t hidden, SlotBytes& bytes) {
  const Int8Cut cut = Int8CutFor(path);
  const int64_t panels = std::min(CeilDiv(rows, cut.rows), cut.chunk);
  Raise(bytes, Slot::kRowPanels, Int8Chunk::Bytes(cut, panels, in));
  Raise(bytes, Slot::kHidden, Int8Chunk::Bytes(cut, panels, hidden));
  Raise(bytes, Slot::kThreads, omp_get_max_threads() * Mine::Bytes(cut, hidden));
}

}  // namespace kontext::cpu
