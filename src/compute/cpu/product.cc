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
constexpr int64_t kSlice = 256;
constexpr int64_t kBlockRows = 96;
constexpr int64_t kChunkRows = 2688;     // 28 blocks
constexpr int64_t kChunkColumns = 3072;  // a multiple of every panel width (12, 24, 48)

int64_t RoundUp(int64_t n, int64_t multiple) { return CeilDiv(n, multiple) * multiple; }

// One Multiply, cut into chunks of rows and columns and slices of k.
class Run {
 public:
  Run(const ConstTensorView& src, const StackedRows& weight, const Epilogue& epilogue,
      const TensorView& dst)
      : src_(src), weight_(weight), epilogue_(epilogue), dst_(dst), width_(PanelColumns()) {
    const int64_t k = weight.columns();
    slice_ = RoundUp(CeilDiv(k, CeilDiv(k, kSlice)), 8);
    slices_ = CeilDiv(k, slice_);
  }

  Status Prepare(Workspace& space) {
    const int64_t rows = RoundUp(std::min(src_.dim(0), kChunkRows), kPanelRows);
    const int64_t columns = RoundUp(std::min(weight_.rows(), kChunkColumns), width_);
    KX_ASSIGN_OR_RETURN(row_panels_, space.Floats(Slot::kRowPanels, rows * slice_));
    KX_ASSIGN_OR_RETURN(column_panels_, space.Floats(Slot::kColumnPanels, columns * slice_));
    if (slices_ > 1) {
      KX_ASSIGN_OR_RETURN(sums_, space.Floats(Slot::kSums, rows * columns));
    }
    return Status();
  }

  void Execute() {
    const double work = static_cast<double>(src_.dim(0)) * static_cast<double>(weight_.rows()) *
                        static_cast<double>(weight_.columns());
    threads_ = ThreadsFor(work / 8);
#pragma omp parallel num_threads(threads_)
    for (int64_t column = 0; column < weight_.rows(); column += kChunkColumns) {
      for (int64_t row = 0; row < src_.dim(0); row += kChunkRows) {
        for (int64_t s = 0; s < slices_; ++s) {
          const Part part{row,        std::min(kChunkRows, src_.dim(0) - row),
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
      const void* rows[kMaxPanelColumns];
      const int64_t begin = p.column + i * width_;
      weight_.Pointers(begin, width_, p.k, rows);
      PackColumnPanel(rows, weight_.dtype(), p.depth, column_panels_ + i * width_ * p.depth);
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < CeilDiv(p.rows, kPanelRows); ++i) {
      const void* rows[kPanelRows] = {};
      for (int64_t r = 0; r < std::min<int64_t>(kPanelRows, p.rows - i * kPanelRows); ++r) {
        const int64_t row = p.row + i * kPanelRows + r;
        rows[r] = src_.data() + (row * src_.stride(0) + p.k) * SizeOf(src_.dtype());
      }
      PackRowPanel(rows, src_.dtype(), p.depth, row_panels_ + i * kPanelRows * p.depth);
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
    const int64_t n = p.column + column;
    b.epilogue = epilogue_;
    if (epilogue_.bias != nullptr) b.epilogue.bias += n;
    if (epilogue_.gate != nullptr) b.epilogue.gate += n;
    b.dst = dst_.data() + ((p.row + row) * dst_.stride(0) + n) * SizeOf(dst_.dtype());
    b.dst_dtype = dst_.dtype();
    b.dst_stride = dst_.stride(0);
    ComputeBlock(b);
  }

  const ConstTensorView& src_;
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

StackedRows::StackedRows(std::vector<ConstTensorView> parts) : parts_(std::move(parts)) {
  for (const ConstTensorView& p : parts_) rows_ += p.dim(0);
}

void StackedRows::Pointers(int64_t begin, int64_t count, int64_t column, const void** out) const {
  int64_t i = 0, first = 0;  // the first row of the part looked at
  for (const ConstTensorView& p : parts_) {
    for (; i < count && begin + i < first + p.dim(0); ++i) {
      const int64_t row = begin + i - first;
      out[i] = p.data() + (row * p.dim(1) + column) * SizeOf(p.dtype());
    }
    first += p.dim(0);
  }
  std::fill(out + i, out + count, nullptr);
}

Status Multiply(ConstTensorView src, const StackedRows& weight, const Epilogue& epilogue,
                TensorView dst, Workspace& space) {
  Run run(src, weight, epilogue, dst);
  KX_RETURN_IF_ERROR(run.Prepare(space));
  run.Execute();
  return Status();
}

}  // namespace kontext::cpu
