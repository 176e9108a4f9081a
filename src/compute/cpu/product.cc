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
constexpr int64_t kChunkRows = 2688;     // 28 blocks
constexpr int64_t kChunkColumns = 3072;  // a multiple of every panel width (12, 24, 48)

int64_t RoundUp(int64_t n, int64_t multiple) { return CeilDiv(n, multiple) * multiple; }

// One Multiply, cut into chunks of rows and columns and slices of k.
class Run {
 public:
  Run(const LeftRows& src, const StackedRows& weight, const Epilogue& epilogue,
      const TensorView& dst)
      : src_(src), weight_(weight), epilogue_(epilogue), dst_(dst), width_(PanelColumns()) {
    const int64_t k = weight.columns();
    slice_ = weight.plain() ? RoundUp(CeilDiv(k, CeilDiv(k, kSlice)), 8) : kSlice;
    slices_ = CeilDiv(k, slice_);
  }

  Status Prepare(Workspace& space) {
    const int64_t rows = RoundUp(std::min(src_.rows(), kChunkRows), kPanelRows);
    const int64_t columns = RoundUp(std::min(weight_.rows(), kChunkColumns), width_);
    KX_ASSIGN_OR_RETURN(row_panels_, space.Floats(Slot::kRowPanels, rows * slice_));
    KX_ASSIGN_OR_RETURN(column_panels_, space.Floats(Slot::kColumnPanels, columns * slice_));
    if (slices_ > 1) {
      KX_ASSIGN_OR_RETURN(sums_, space.Floats(Slot::kSums, rows * columns));
    }
    return Status();
  }

  void Execute() {
    const double work = static_cast<double>(src_.rows()) * static_cast<double>(weight_.rows()) *
                        static_cast<double>(weight_.columns());
    threads_ = ThreadsFor(work / 8);
#pragma omp parallel num_threads(threads_)
    for (int64_t column = 0; column < weight_.rows(); column += kChunkColumns) {
      for (int64_t row = 0; row < src_.rows(); row += kChunkRows) {
        for (int64_t s = 0; s < slices_; ++s) {
          const Part part{row,        std::min(kChunkRows, src_.rows() - row),
                          column,     std::min(kChunkColumns, weight_.rows() - column),
                          s * slice_, std::min(slice_, weight_.columns() - s * slice_)};
          Pack(part);
          Compute(part);
        }
      }
    }
  }

 private:
  struct Part {
    int64_t row, rows, column, columns, k, depth;
  };

  // Called by all threads of the team; ends when all panels are packed.
  void Pack(const Part& p) {
#pragma omp for schedule(static) nowait
    for (int64_t i = 0; i < CeilDiv(p.columns, width_); ++i) {
      weight_.PackPanel(p.column + i * width_, p.k, p.depth, column_panels_ + i * width_ * p.depth);
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < CeilDiv(p.rows, kPanelRows); ++i) PackRows(p, i * kPanelRows);
  }

  // Four rows from row `first` of the part on, piece by piece of the slice.
  void PackRows(const Part& p, int64_t first) const {
    const int64_t rows = std::min<int64_t>(kPanelRows, p.rows - first);
    float* dst = row_panels_ + first * p.depth;
    for (int64_t k = p.k; k < p.k + p.depth;) {
      const int64_t tap = k / src_.piece(), begin = k % src_.piece();
      const int64_t count = std::min(src_.piece() - begin, p.k + p.depth - k);
      const void* pieces[kPanelRows] = {};
      for (int64_t r = 0; r < rows; ++r) {
        const std::byte* piece = src_.Piece(p.row + first + r, tap);
        if (piece != nullptr) pieces[r] = piece + begin * SizeOf(src_.dtype());
      }
      PackRowPanel(pieces, src_.dtype(), count, dst);
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
    b.a = row_panels_ + row * p.depth;
    b.b = column_panels_ + column * p.depth;
    b.rows = std::min(kBlockRows, p.rows - row);
    b.columns = std::min(panels * width_, p.columns - column);
    b.k = p.depth;
    if (sums_ != nullptr) b.sums = sums_ + panel * sums_stride + row * width_;
    b.sums_stride = sums_stride;
    b.first = p.k == 0;
    b.last = p.k + p.depth == weight_.columns();
    const int64_t m = p.row + row, n = p.column + column;
    b.epilogue = epilogue_;
    if (epilogue_.bias != nullptr) b.epilogue.bias += n;
    if (epilogue_.gate != nullptr) b.epilogue.gate += n;
    if (!epilogue_.addend.empty()) {
      b.epilogue.addend = epilogue_.addend.Rows(m, m + b.rows).Cols(n, n + b.columns);
    }
    b.dst = dst_.Rows(m, m + b.rows).Cols(n, n + b.columns);
    ComputeBlock(b);
  }

  const LeftRows& src_;
  const StackedRows& weight_;
  const Epilogue& epilogue_;
  const TensorView& dst_;
  const int64_t width_;
  int64_t slice_ = 0, slices_ = 0;
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

LeftRows LeftRows::Patches(ConstTensorView src, int64_t kernel, const ConvOptions& o) {
  const int64_t room = o.pad_begin + o.pad_end - kernel;
  LeftRows rows;
  rows.src_ = src;
  rows.out_width_ = (src.dim(1) + room) / o.stride + 1;
  rows.rows_ = ((src.dim(0) + room) / o.stride + 1) * rows.out_width_;
  rows.piece_ = src.dim(2);
  rows.kernel_ = kernel;
  rows.stride_ = o.stride;
  rows.pad_ = o.pad_begin;
  return rows;
}

const std::byte* LeftRows::Piece(int64_t row, int64_t tap) const {
  if (out_width_ == 0) return src_.data() + row * src_.stride(0) * SizeOf(src_.dtype());
  const int64_t y = row / out_width_ * stride_ + tap / kernel_ - pad_;
  const int64_t x = row % out_width_ * stride_ + tap % kernel_ - pad_;
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

Status Multiply(const LeftRows& src, const StackedRows& weight, const Epilogue& epilogue,
                TensorView dst, Workspace& space) {
  Run run(src, weight, epilogue, dst);
  KX_RETURN_IF_ERROR(run.Prepare(space));
  run.Execute();
  return Status();
}

}  // namespace kontext::cpu
