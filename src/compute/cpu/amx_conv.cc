#include "compute/cpu/amx_conv.h"

#include <algorithm>
#include <array>

#include "compute/cpu/amx_tiles.h"
#include "compute/cpu/parallel.h"

namespace kontext::cpu {
namespace {

constexpr int64_t kColumns = kAmxPanelColumns;
constexpr int64_t kTiles = 4;  // of 32 pixels that one piece of a column panel serves
constexpr int64_t kPass = 8;   // steps of k of such a piece: 32 KiB, which stay in the first cache

struct Tile {
  int64_t y, x;
};

// One convolution. A step of k is one tap of the kernel and kAmxDepth channels; taps outside.
struct Convolution {
  ConstTensorView src;
  const std::byte* panels;
  int64_t kernel, stride;
  Epilogue epilogue;
  TensorView dst;

  int64_t pixel() const { return src.dim(2) * SizeOf(DType::kBF16); }
  int64_t steps_of_tap() const { return src.dim(2) / kAmxDepth; }
  int64_t steps() const { return kernel * kernel * steps_of_tap(); }
  int64_t tiles_of_row() const { return CeilDiv(dst.dim(1), kAmxSide); }

  // The first of the tile's pixels, as tap `tap` meets them.
  const std::byte* At(const Tile& t, int64_t tap) const {
    const int64_t y = t.y * stride + tap / kernel, x = t.x * stride + tap % kernel;
    return src.data() + y * src.stride(0) * SizeOf(DType::kBF16) + x * pixel();
  }

  // sums [32][32] of rows of 64 (+)= the tile's pixels by half a column panel, over steps [begin,
  // end).
  KX_AMX_TARGET void Multiply(const Tile& t, const std::byte* panel, int64_t half, int64_t begin,
                              int64_t end, float* sums) const {
    AmxBeginSums(begin > 0, sums, kColumns);
    for (int64_t step = begin; step < end;) {
      const int64_t tap = step / steps_of_tap(), within = step % steps_of_tap();
      const int64_t count = std::min(steps_of_tap() - within, end - step);
      const int64_t row = stride * pixel();
      AmxMultiply(count, {At(t, tap) + within * kAmxRowBytes, row, kAmxRowBytes, kAmxHalf * row},
                  AmxColumnPanel(panel + step * kAmxColumnStep, half));
      step += count;
    }
    AmxStoreSums(sums, kColumns);
  }

  KX_AMX_TARGET void Compute(int64_t column, const Tile* tiles, int64_t count) const {
    alignas(64) std::array<float, kTiles * kAmxSide * kColumns> sums;
    const std::byte* panel = panels + column / kColumns * steps() * kAmxColumnStep;
    const int64_t halves = dst.dim(2) - column > kAmxSide ? 2 : 1;
    for (int64_t step = 0; step < steps(); step += kPass) {
      const int64_t end = std::min(step + kPass, steps());
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t half = 0; half < halves; ++half) {
          Multiply(tiles[i], panel, half, step, end,
                   sums.data() + i * kAmxSide * kColumns + half * kAmxSide);
        }
      }
    }
    for (int64_t i = 0; i < count; ++i)
      Finish(tiles[i], column, sums.data() + i * kAmxSide * kColumns);
  }

  void Finish(const Tile& t, int64_t column, const float* sums) const {
    ProductBlock row;
    row.rows = dst.dim(1);
    row.columns = dst.dim(2);
    row.epilogue = epilogue;
    if (!epilogue.addend.empty()) row.epilogue.addend = epilogue.addend.At(t.y);
    row.dst = dst.At(t.y);
    FinishTile(row, {sums, kAmxSide, kColumns}, t.x, column);
  }

  // Groups of tiles [begin, end), counted column panel by column panel, so that one panel stays in
  // the second cache while a whole picture passes.
  KX_AMX_TARGET void ComputeGroups(int64_t groups, int64_t begin, int64_t end) const {
    const AmxRegisters registers;
    const int64_t all = tiles_of_row() * dst.dim(0);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % groups * kTiles, count = std::min(kTiles, all - first);
      std::array<Tile, kTiles> tiles;
      for (int64_t t = 0; t < count; ++t) {
        const int64_t n = first + t;
        tiles[static_cast<size_t>(t)] = {n / tiles_of_row(), n % tiles_of_row() * kAmxSide};
      }
      Compute(i / groups * kColumns, tiles.data(), count);
    }
  }
};

}  // namespace

int64_t AmxConvChannels(int64_t channels) { return RoundUp(channels, kAmxDepth); }

int64_t AmxConvSlack(int64_t channels, int stride) {
  return kAmxSide * stride * AmxConvChannels(channels);
}

int64_t AmxConvPanelBytes(const Shape& weights) {
  const int64_t k = weights[1] * weights[2] * AmxConvChannels(weights[3]);
  return CeilDiv(weights[0], kColumns) * AmxPanels().sizes.ColumnPanelBytes(k);
}

void AmxPackConv(const ConstTensorView& weights, std::byte* panels) {
  const int64_t N = weights.dim(0), taps = weights.dim(1) * weights.dim(2), C = weights.dim(3);
  const int64_t size = SizeOf(weights.dtype());
  const int64_t tap_bytes = AmxPanels().sizes.ColumnPanelBytes(C);
  ParallelRows(CeilDiv(N, kColumns), kColumns * taps * C, [&](int64_t begin, int64_t end) {
    std::array<const void*, kColumns> rows;
    for (int64_t i = begin * taps; i < end * taps; ++i) {
      for (int64_t c = 0; c < kColumns; ++c) {
        const int64_t n = i / taps * kColumns + c;
        rows[static_cast<size_t>(c)] =
            n < N ? weights.data() + (n * taps + i % taps) * C * size : nullptr;
      }
      AmxPanels().PackColumns(rows.data(), weights.dtype(), 0, C, panels + i * tap_bytes);
    }
  });
}

void AmxConvolve(const ConstTensorView& src, const std::byte* panels, int64_t kernel, int stride,
                 const Epilogue& e, const TensorView& dst) {
  const Convolution conv{src, panels, kernel, stride, e, dst};
  const int64_t groups = CeilDiv(conv.tiles_of_row() * dst.dim(0), kTiles);
  const int64_t work = kTiles * kAmxSide * kColumns * conv.steps() * kAmxDepth;
  ParallelRows(CeilDiv(dst.dim(2), kColumns) * groups, work,
               [&](int64_t begin, int64_t end) { conv.ComputeGroups(groups, begin, end); });
}

}  // namespace kontext::cpu
