#include "compute/cpu/product.h"

#include <algorithm>
#include <utility>

#include "compute/cpu/parallel.h"

namespace kontext::cpu {
namespace {

constexpr int64_t kChunkColumns = 3072;  // a multiple of every panel width (12, 24, 48, 64)

// The most panels of a chunk.
struct Panels {
  Panels(const PanelSizes& s, int64_t row_count, int64_t column_count)
      : rows(CeilDiv(std::min(row_count, kChunkRows), s.rows)),
        columns(CeilDiv(std::min(column_count, kChunkColumns), s.columns)) {}
  int64_t Sums(const PanelSizes& s) const { return rows * s.rows * columns * s.columns; }

  int64_t rows, columns;
};

// One Multiply, cut into chunks of rows and columns and slices of k.
class Run {
 public:
  Run(const PanelKernel& kernel, std::initializer_list<ProductTerm> terms, const Epilogue& epilogue,
      const TensorView& dst)
      : kernel_(kernel),
        sizes_(kernel.sizes),
        rows_(terms.begin()->src.rows()),
        columns_(terms.begin()->weight.rows()),
        epilogue_(epilogue),
        dst_(dst) {
    const int64_t slice = sizes_.slice, even = std::max<int64_t>(8, sizes_.granule);
    for (const ProductTerm& term : terms) {
      const int64_t k = term.weight.columns();
      const int64_t depth = term.weight.plain() ? RoundUp(CeilDiv(k, CeilDiv(k, slice)), even)
                                                : std::min(slice, RoundUp(k, even));
      for (int64_t begin = 0; begin < k; begin += depth) {
        slices_.push_back({&term.src, &term.weight, begin, std::min(depth, k - begin)});
      }
      depth_ = std::max(depth_, depth);
    }
  }

  Status Prepare(Workspace& space) {
    const Panels most(sizes_, rows_, columns_);
    KX_ASSIGN_OR_RETURN(row_panels_,
                        space.Bytes(Slot::kRowPanels, most.rows * sizes_.RowPanelBytes(depth_)));
    KX_ASSIGN_OR_RETURN(
        column_panels_,
        space.Bytes(Slot::kColumnPanels, most.columns * sizes_.ColumnPanelBytes(depth_)));
    if (slices_.size() > 1) {
      KX_ASSIGN_OR_RETURN(sums_, space.Floats(Slot::kSums, most.Sums(sizes_)));
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
    const int64_t width = sizes_.columns, height = sizes_.rows;
#pragma omp for schedule(static) nowait
    for (int64_t i = 0; i < CeilDiv(p.columns, width); ++i) {
      p.slice.weight->PackPanel(kernel_, p.column + i * width, p.slice.begin, p.slice.depth,
                                column_panels_ + i * sizes_.ColumnPanelBytes(p.slice.depth));
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < CeilDiv(p.rows, height); ++i) {
      PackRows(p, i * height, row_panels_ + i * sizes_.RowPanelBytes(p.slice.depth));
    }
  }

  // A panel's rows from row `first` of the part on, piece by piece of the slice.
  void PackRows(const Part& p, int64_t first, std::byte* panel) const {
    const int64_t rows = std::min(sizes_.rows, p.rows - first);
    const LeftRows& src = *p.slice.src;
    for (int64_t at = 0; at < p.slice.depth;) {
      const int64_t k = p.slice.begin + at;
      const int64_t tap = k / src.piece(), begin = k % src.piece();
      const int64_t count = std::min(src.piece() - begin, p.slice.depth - at);
      const void* pieces[kMaxPanelRows] = {};
      for (int64_t r = 0; r < rows; ++r) {
        const std::byte* piece = src.Piece(p.row + first + r, tap);
        if (piece != nullptr) pieces[r] = piece + begin * SizeOf(src.dtype());
      }
      kernel_.PackRows(pieces, src.dtype(), at, count, p.slice.depth, panel);
      at += count;
    }
  }

  // Called by all threads; blocks of rows, and of columns too where there are few rows.
  void Compute(const Part& p) {
    const int64_t row_blocks = CeilDiv(p.rows, sizes_.block_rows);
    const int64_t panels = CeilDiv(p.columns, sizes_.columns);
    const int64_t column_blocks = std::min(panels, CeilDiv(int64_t{4} * threads_, row_blocks));
    const int64_t block_panels = CeilDiv(panels, column_blocks);
    const int64_t blocks = row_blocks * CeilDiv(panels, block_panels);
#pragma omp for schedule(dynamic)
    for (int64_t i = 0; i < blocks; ++i) {
      ComputeOne(p, i % row_blocks * sizes_.block_rows, i / row_blocks * block_panels,
                 block_panels);
    }
  }

  void ComputeOne(const Part& p, int64_t row, int64_t panel, int64_t panels) const {
    const int64_t width = sizes_.columns, column = panel * width;
    const int64_t sums_stride = RoundUp(p.rows, sizes_.rows) * width;
    ProductBlock b;
    b.a = row_panels_ + row / sizes_.rows * sizes_.RowPanelBytes(p.slice.depth);
    b.b = column_panels_ + panel * sizes_.ColumnPanelBytes(p.slice.depth);
    b.rows = std::min(sizes_.block_rows, p.rows - row);
    b.columns = std::min(panels * width, p.columns - column);
    b.k = p.slice.depth;
    if (sums_ != nullptr) b.sums = sums_ + panel * sums_stride + row * width;
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
    kernel_.Compute(b);
  }

  const PanelKernel& kernel_;
  const PanelSizes& sizes_;
  const int64_t rows_, columns_;
  const Epilogue& epilogue_;
  const TensorView& dst_;
  std::vector<Slice> slices_;  // of all terms
  int64_t depth_ = 0;          // of the deepest
  int threads_ = 1;
  std::byte* row_panels_ = nullptr;
  std::byte* column_panels_ = nullptr;
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

void StackedRows::PackPanel(const PanelKernel& kernel, int64_t begin, int64_t column, int64_t depth,
                            std::byte* panel) const {
  constexpr int64_t kGranule = EncodedMatrix::kGranule;
  alignas(64) float decoded[kMaxPanelColumns * kGranule];
  const int64_t width = kernel.sizes.columns, step = plain_ ? depth : kGranule;
  for (int64_t at = 0; at < depth; at += step) {
    const int64_t count = std::min(step, depth - at);
    const void* rows[kMaxPanelColumns] = {};
    int64_t i = 0, first = 0;  // the first row of the part looked at
    for (const WeightRows& p : parts_) {
      for (; i < width && begin + i < first + p.dim(0); ++i) {
        const int64_t row = begin + i - first;
        if (plain_) {
          const ConstTensorView& d = p.dense();
          rows[i] = d.data() + (row * d.dim(1) + column) * SizeOf(d.dtype());
        } else {
          float* values = decoded + i * kGranule;
          p.Decode(row, column + at, column + at + count, values);
          rows[i] = values;
        }
      }
      first += p.dim(0);
    }
    kernel.PackColumns(rows, plain_ ? parts_.front().dense().dtype() : DType::kF32, at, count,
                       panel);
  }
}

Status Multiply(const PanelKernel& kernel, std::initializer_list<ProductTerm> terms,
                const Epilogue& epilogue, TensorView dst, Workspace& space) {
  Run run(kernel, terms, epilogue, dst);
  KX_RETURN_IF_ERROR(run.Prepare(space));
  run.Execute();
  return Status();
}

const PanelKernel& PanelsFor(ProductPath path) {
  return path == ProductPath::kAmx ? AmxPanels() : F32Panels();
}

void ProductSlots(const PanelKernel& kernel, int64_t rows, int64_t depth, int64_t columns,
                  SlotBytes& bytes) {
  const PanelSizes& s = kernel.sizes;
  const Panels most(s, rows, columns);
  const int64_t slice = std::min(RoundUp(depth, std::max<int64_t>(8, s.granule)), s.slice);
  Raise(bytes, Slot::kRowPanels, most.rows * s.RowPanelBytes(slice));
  Raise(bytes, Slot::kColumnPanels, most.columns * s.ColumnPanelBytes(slice));
  if (depth > s.slice) Raise(bytes, Slot::kSums, most.Sums(s) * SizeOf(DType::kF32));
}

}  // namespace kontext::cpu
