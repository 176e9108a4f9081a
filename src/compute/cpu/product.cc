#include "compute/cpu/product.h"

#include <algorithm>
#include <utility>

#include "compute/cpu/parallel.h"

namespace kontext::cpu {
namespace {

// Sizes of the packed parts (Goto and van de Geijn, "Anatomy of high-performance matrix
// multiplication"): a column panel of one slice (24 x 256 floats, 24 KiB) lives in the first cache,
// a block of rows (96 x 256, 96 KiB) in the second, the rest of a chunk in the third. Measured:
// SPEED.md.
constexpr int64_t kSlice = EncodedMatrix::kGranule;
constexpr int64_t kBlockRows = 96;
constexpr int64_t kChunkColumns = 3072;  // a multiple of every panel width (12, 24, 48)

int64_t RoundUp(int64_t n, int64_t multiple) { return CeilDiv(n, multiple) * multiple; }

// One Multiply, cut into chunks of rows and columns and slices of k.
class Run {
 public:
  Run(std::initializer_list<ProductTerm> terms, const Epilogue& epilogue, const TensorView& dst)
      : rows_(terms.begin()->src.rows()),
        columns_(terms.begin()->weight.rows()),
        epilogue_(epilogue),
        dst_(dst),
        width_(PanelColumns()) {
    for (const ProductTerm& term : terms) {
      const int64_t k = term.weight.columns();
      const int64_t depth =
          term.weight.plain() ? RoundUp(CeilDiv(k, CeilDiv(k, kSlice)), 8) : kSlice;
      for (int64_t begin = 0; begin < k; begin += depth) {
        slices_.push_back({&term.src, &term.weight, begin, std::min(depth, k - begin)});
      }
      depth_ = std::max(depth_, depth);
    }
  }

  Status Prepare(Workspace& space) {
    const int64_t rows = RoundUp(std::min(rows_, kChunkRows), kPanelRows);
    const int64_t columns = RoundUp(std::min(columns_, kChunkColumns), width_);
    KX_ASSIGN_OR_RETURN(row_panels_, space.Floats(Slot::kRowPanels, rows * depth_));
    KX_ASSIGN_OR_RETURN(column_panels_, space.Floats(Slot::kColumnPanels, columns * depth_));
    if (slices_.size() > 1) {
      KX_ASSIGN_OR_RETURN(sums_, space.Floats(Slot::kSums, rows * columns));
    }
    return Status();
  }

  void Execute() {
    const double work = static_cast<double>(rows_) * static_cast<double>(columns_) *
                        static_cast<double>(slices_.size()) * static_cast<double>(depth_);
    threads_ = ThreadsFor(work / 8);
#pragma omp parallel num_threads(threads_)
    for (int64_t column = 0; column < columns_; column += kChunkColumns) {
      for (int64_t row = 0; row < rows_; row += kChunkRows) {
        for (const Slice& slice : slices_) {
          const Part part{row, std::min(kChunkRows, rows_ - row), column,
                          std::min(kChunkColumns, columns_ - column), slice};
          Pack(part);
          Compute(part);
        }
      }
    }
  }

 private:
  struct Slice {
    const LeftRows* src;
    const StackedRows* weight;
    int64_t begin, depth;  // of k
  };
  struct Part {
    int64_t row, rows, column, columns;
    const Slice& slice;
  };

  // Called by all threads of the team; ends when all panels are packed.
  void Pack(const Part& p) {
#pragma omp for schedule(static) nowait
    for (int64_t i = 0; i < CeilDiv(p.columns, width_); ++i) {
      p.slice.weight->PackPanel(p.column + i * width_, p.slice.begin, p.slice.depth,
                                column_panels_ + i * width_ * p.slice.depth);
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < CeilDiv(p.rows, kPanelRows); ++i) PackRows(p, i * kPanelRows);
  }

  // Four rows from row `first` of the part on, piece by piece of the slice.
  void PackRows(const Part& p, int64_t first) const {
    const int64_t rows = std::min<int64_t>(kPanelRows, p.rows - first);
    const LeftRows& src = *p.slice.src;
    const int64_t end = p.slice.begin + p.slice.depth;
    float* dst = row_panels_ + first * p.slice.depth;
    for (int64_t k = p.slice.begin; k < end;) {
      const int64_t tap = k / src.piece(), begin = k % src.piece();
      const int64_t count = std::min(src.piece() - begin, end - k);
      const void* pieces[kPanelRows] = {};
      for (int64_t r = 0; r < rows; ++r) {
        const std::byte* piece = src.Piece(p.row + first + r, tap);
        if (piece != nullptr) pieces[r] = piece + begin * SizeOf(src.dtype());
      }
      PackRowPanel(pieces, src.dtype(), count, dst);
      dst += count * kPanelRows;
      k += count;
    }
  }

  // Called by all threads; blocks of rows, and of columns too where there are few rows.
  void Compute(const Part& p) {
    const int64_t row_blocks = CeilDiv(p.rows, kBlockRows);
    const int64_t panels = CeilDiv(p.columns, width_);
    const int64_t column_blocks = std::min(panels, CeilDiv(int64_t{4} * threads_, row_blocks));
    const int64_t block_panels = CeilDiv(panels, column_blocks);
    const int64_t blocks = row_blocks * CeilDiv(panels, block_panels);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < blocks; ++i) {
      ComputeOne(p, i % row_blocks * kBlockRows, i / row_blocks * block_panels, block_panels);
    }
  }

  void ComputeOne(const Part& p, int64_t row, int64_t panel, int64_t panels) const {
    const int64_t column = panel * width_;
    const int64_t sums_stride = RoundUp(p.rows, kPanelRows) * width_;
    ProductBlock b;
    b.a = row_panels_ + row * p.slice.depth;
    b.b = column_panels_ + column * p.slice.depth;
    b.rows = std::min(kBlockRows, p.rows - row);
    b.columns = std::min(panels * width_, p.columns - column);
    b.k = p.slice.depth;
    if (sums_ != nullptr) b.sums = sums_ + panel * sums_stride + row * width_;
    b.sums_stride = sums_stride;
    b.first = &p.slice == &slices_.front();
    b.last = &p.slice == &slices_.back();
    const int64_t m = p.row + row, n = p.column + column;
    b.epilogue = epilogue_;
    if (epilogue_.bias != nullptr) b.epilogue.bias += n;
    if (epilogue_.gate != nullptr) b.epilogue.gate += n;
    if (!epilogue_.addend.empty()) {
      b.epilogue.addend = epilogue_.addend.Rows(m, m + b.rows).Cols(n, n + b.columns);
    }
    b.dst = dst_;
    b.row = m;
    b.column = n;
    ComputeBlock(b);
  }

  const int64_t rows_, columns_;
  const Epilogue& epilogue_;
  const TensorView& dst_;
  const int64_t width_;
  std::vector<Slice> slices_;  // of all terms
  int64_t depth_ = 0;          // of the deepest
  int threads_ = 1;
  float* row_panels_ = nullptr;
  float* column_panels_ = nullptr;
  float* sums_ = nullptr;
};

}  // namespace

LeftRows LeftRows::Matrix(ConstTensorView src) {
  LeftRows rows;
  rows.src_ = src;
  rows.rows_ = src.dim(0);
  rows.piece_ = src.dim(1);
  return rows;
}

LeftRows LeftRows::Patches(ConstTensorView src, int64_t kernel, int stride, const Pads& pads) {
  const auto places = [&](int64_t size) { return (size - kernel) / stride + 1; };
  LeftRows rows;
  rows.src_ = src;
  rows.out_width_ = places(src.dim(1) + pads.left + pads.right);
  rows.rows_ = places(src.dim(0) + pads.above + pads.below) * rows.out_width_;
  rows.piece_ = src.dim(2);
  rows.kernel_ = kernel;
  rows.stride_ = stride;
  rows.above_ = pads.above;
  rows.left_ = pads.left;
  return rows;
}

LeftRows LeftRows::Squares(ConstTensorView src, int64_t above, int64_t left) {
  LeftRows rows;
  rows.src_ = src;
  rows.out_width_ = src.dim(1);
  rows.rows_ = src.dim(0) * src.dim(1);
  rows.piece_ = src.dim(2);
  rows.kernel_ = 2;
  rows.above_ = above;
  rows.left_ = left;
  return rows;
}

const std::byte* LeftRows::Piece(int64_t row, int64_t tap) const {
  if (out_width_ == 0) return src_.data() + row * src_.stride(0) * SizeOf(src_.dtype());
  const int64_t y = row / out_width_ * stride_ + tap / kernel_ - above_;
  const int64_t x = row % out_width_ * stride_ + tap % kernel_ - left_;
  if (y < 0 || y >= src_.dim(0) || x < 0 || x >= src_.dim(1)) return nullptr;
  return src_.data() + (y * src_.dim(1) + x) * piece_ * SizeOf(src_.dtype());
}

StackedRows::StackedRows(std::vector<WeightRows> parts) : parts_(std::move(parts)) {
  for (const WeightRows& p : parts_) {
    rows_ += p.dim(0);
    plain_ = plain_ && !p.is_encoded() && p.dense().dtype() == parts_.front().dense().dtype();
  }
}

void StackedRows::PackPanel(int64_t begin, int64_t column, int64_t depth, float* dst) const {
  alignas(64) float decoded[kMaxPanelColumns * kSlice];
  const int64_t width = PanelColumns();
  const void* rows[kMaxPanelColumns] = {};
  int64_t i = 0, first = 0;  // the first row of the part looked at
  for (const WeightRows& p : parts_) {
    for (; i < width && begin + i < first + p.dim(0); ++i) {
      const int64_t row = begin + i - first;
      if (plain_) {
        const ConstTensorView& d = p.dense();
        rows[i] = d.data() + (row * d.dim(1) + column) * SizeOf(d.dtype());
      } else {
        float* values = decoded + i * kSlice;
        p.Decode(row, column, column + depth, values);
        rows[i] = values;
      }
    }
    first += p.dim(0);
  }
  PackColumnPanel(rows, plain_ ? parts_.front().dense().dtype() : DType::kF32, depth, dst);
}

Status Multiply(std::initializer_list<ProductTerm> terms, const Epilogue& epilogue, TensorView dst,
                Workspace& space) {
  Run run(terms, epilogue, dst);
  KX_RETURN_IF_ERROR(run.Prepare(space));
  run.Execute();
  return Status();
}

void ProductSlots(int64_t rows, int64_t depth, int64_t columns, SlotBytes& bytes) {
  const int64_t m = RoundUp(std::min(rows, kChunkRows), kPanelRows);
  const int64_t n = RoundUp(std::min(columns, kChunkColumns), PanelColumns());
  const int64_t slice = std::min(RoundUp(depth, 8), kSlice);
  const auto raise = [&](Slot slot, int64_t floats) {
    Raise(bytes, slot, floats * SizeOf(DType::kF32));
  };
  raise(Slot::kRowPanels, m * slice);
  raise(Slot::kColumnPanels, n * slice);
  if (depth > kSlice) raise(Slot::kSums, m * n);
}

}  // namespace kontext::cpu
