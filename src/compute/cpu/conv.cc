// Convolutions on pictures with the channel fastest, without im2col. AMX loads its registers from
// the picture (amx_conv.h). Where the processor multiplies bf16 natively without it, oneDNN
// convolves; everywhere else it is our product on patches: oneDNN's AVX2 convolution reaches a
// third of the machine's rate in this layout (SPEED.md).
//
// What a convolution reads in another form than it lies (normed, enlarged, of another dtype, with a
// border), or writes so, exists for a band of rows only. Bands are exact: a band's neighbouring
// rows are made again, and GroupNorm's statistics are of the whole picture.
#include "compute/cpu/conv.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "compute/cpu/amx_conv.h"
#include "compute/cpu/cpu_ops.h"
#include "compute/cpu/elementwise.h"
#include "compute/cpu/norm.h"
#include "compute/cpu/parallel.h"
#include "compute/cpu/product.h"
#include "tensor/arena.h"

namespace kontext::cpu {
namespace {

// The most pixels of a band's results: a few times the rows that one packing of a product's weights
// serves, and few enough to be in memory beside the picture, 35 MB at 512 channels.
constexpr int64_t kBandPixels = 6 * kChunkRows;

// Picture size for which oneDNN chooses the layout of packed weights; others use the same one.
constexpr int64_t kTypicalSide = 64;

Result<Tensor> CopyOf(const ConstTensorView& view, DType dtype) {
  KX_ASSIGN_OR_RETURN(Tensor copy, Tensor::Allocate(dtype, view.shape()));
  CopyAll(view, copy.view());
  return copy;
}

// [N,C,k,k] seen as [N,k,k,C], the order of a patch.
ConstTensorView ChannelsLast(const ConstTensorView& w) {
  ConstTensorView v(w.data(), w.dtype(), {w.dim(0), w.dim(2), w.dim(3), w.dim(1)});
  v.SetStride(0, w.stride(0));
  v.SetStride(1, w.stride(2));
  v.SetStride(2, w.stride(3));
  v.SetStride(3, w.stride(1));
  return v;
}

// A dense picture [h,w,C] as a matrix [h*w,C].
template <class View>
View Pixels(const View& picture) {
  return picture.Reshaped({picture.dim(0) * picture.dim(1), picture.dim(2)});
}

// The rows or columns of a 3x3 kernel that meet place `tap`, 0 or 1, of the square of phase p: the
// first is one of three and the second two of them, or the other way round.
struct Taps {
  int64_t begin, end;
};
Taps TapsOf(int64_t p, int64_t tap) {
  const int64_t middle = 1 + p;
  return tap == 0 ? Taps{0, middle} : Taps{middle, 3};
}

// [N,3,3,C] -> [N,2,2,C] F32.
void SumKernel(const ConstTensorView& rows, int64_t py, int64_t px, float* kernel) {
  const int64_t C = rows.dim(3);
  ParallelRows(rows.dim(0) * 4, 9 * C / 4, [&](int64_t begin, int64_t end) {
    std::vector<float> values(static_cast<size_t>(C));
    const TensorView one = ViewOf(values.data(), {C});
    for (int64_t i = begin; i < end; ++i) {
      float* sum = kernel + i * C;
      std::fill(sum, sum + C, 0.0f);
      const Taps ys = TapsOf(py, i % 4 / 2), xs = TapsOf(px, i % 2);
      for (int64_t y = ys.begin; y < ys.end; ++y) {
        for (int64_t x = xs.begin; x < xs.end; ++x) {
          CopyAll(rows.At(i / 4).At(y).At(x), one);
          for (int64_t c = 0; c < C; ++c) sum[c] += values[static_cast<size_t>(c)];
        }
      }
    }
  });
}

// An operand made for AMX, [h,w,C], with its border and all the channels of its pixels.
ConstTensorView WithBorder(const ConstTensorView& inside, const Pads& pads) {
  const int64_t row = inside.stride(0), pixel = inside.stride(1);
  const std::byte* first =
      inside.data() - (pads.above * row + pads.left * pixel) * SizeOf(inside.dtype());
  return {first, inside.dtype(), {pads.above + inside.dim(0) + pads.below, row / pixel, pixel}};
}

// Rows of the bands of a result, of about one size.
int64_t BandRows(int64_t height, int64_t width) {
  const int64_t most = std::max<int64_t>(1, kBandPixels / width);
  return CeilDiv(height, CeilDiv(height, most));
}

constexpr ConvOptions kSame3x3{.stride = 1, .pad_begin = 1, .pad_end = 1};

}  // namespace

// A band's operand has the rows beside it: two, or up to four of an enlarged picture. A picture
// that is convolved as it lies has the activations' dtype, and no copy but for AMX's border.
void ConvSlots(const Plan& plan, int64_t pixels, int64_t width, int64_t depth, SlotBytes& bytes) {
  const int64_t height = pixels / width, rows = BandRows(height, width);
  const auto values = [&](int64_t n) { return std::min(height, n) * width * depth; };
  switch (plan.path) {
    case ProductPath::kWiden:
      return Raise(bytes, Slot::kOperand, values(rows + 2) * SizeOf(DType::kF32));
    case ProductPath::kLibrary:
      Raise(bytes, Slot::kOperand, values(rows + 4) * SizeOf(DType::kBF16));
      return Raise(bytes, Slot::kResult, values(rows) * SizeOf(DType::kF32));
    case ProductPath::kAmx:
      const int64_t bordered =
          (std::min(height, rows + 4) + 2) * (width + 2) * AmxConvChannels(depth);
      return Raise(bytes, Slot::kOperand,
                   (bordered + AmxConvSlack(depth, 2)) * SizeOf(DType::kBF16));
  }
}

class CpuConvWeights : public ConvWeights {
 public:
  using ConvWeights::ConvWeights;
  Tensor rows;                     // kWiden: [N,k,k,C] in the checkpoint's dtype
  Buffer panels;                   // kAmx: as amx_conv.h has them
  mutable onednn::Weights packed;  // kLibrary; new layouts may be added in use
  Tensor bias;                     // [N] F32
};

Result<std::unique_ptr<ConvWeights>> CpuOps::DoPrepareConv(ConstTensorView weight,
                                                           ConstTensorView bias) {
  auto w = std::make_unique<CpuConvWeights>(weight.dim(0), weight.dim(1), weight.dim(2));
  KX_ASSIGN_OR_RETURN(w->bias, CopyOf(bias, DType::kF32));
  if (plan_.path == ProductPath::kLibrary) {
    KX_ASSIGN_OR_RETURN(const Tensor dense, CopyOf(weight, DType::kF32));
    const int64_t pad = w->kernel / 2;
    const onednn::ConvSpec spec{.h = kTypicalSide + w->kernel,
                                .w = kTypicalSide + w->kernel,
                                .in = w->in_channels,
                                .out = w->out_channels,
                                .kernel = w->kernel,
                                .above = pad,
                                .below = pad,
                                .left = pad,
                                .right = pad,
                                .src = onednn::TypeOf(activation_dtype()),
                                .weights = onednn::TypeOf(activation_dtype()),
                                .threads = omp_get_max_threads()};
    KX_ASSIGN_OR_RETURN(w->packed, library_.PackConv(spec, dense.view().As<float>()));
    return std::unique_ptr<ConvWeights>(std::move(w));
  }
  KX_ASSIGN_OR_RETURN(w->rows, CopyOf(ChannelsLast(weight), weight.dtype()));
  if (plan_.path == ProductPath::kAmx) {
    const ConstTensorView rows = w->rows.view();
    KX_ASSIGN_OR_RETURN(w->panels, Buffer::Allocate(AmxConvPanelBytes(rows.shape())));
    AmxPackConv(rows, w->panels.data());
    w->rows = Tensor();
  }
  return std::unique_ptr<ConvWeights>(std::move(w));
}

// src [h,w,C] -> dst [y,x,N], all rows of both.
Status CpuOps::LibraryConvolution(ConstTensorView src, const CpuConvWeights& w, int stride,
                                  const Pads& pads, const ConstTensorView& residual,
                                  const TensorView& dst) {
  KX_ASSIGN_OR_RETURN(src, As(activation_dtype(), src));
  TensorView result = dst;
  if (dst.dtype() != DType::kF32) {  // sums stay in f32 until the store
    KX_ASSIGN_OR_RETURN(float* memory, space_.Floats(Slot::kResult, dst.shape().NumElements()));
    result = ViewOf(memory, dst.shape());
  }
  if (!residual.empty() && residual.data() != result.data()) CopyAll(residual, result);
  const onednn::ConvSpec spec{.h = src.dim(0),
                              .w = src.dim(1),
                              .in = w.in_channels,
                              .out = w.out_channels,
                              .kernel = w.kernel,
                              .above = pads.above,
                              .below = pads.below,
                              .left = pads.left,
                              .right = pads.right,
                              .stride = stride,
                              .src = onednn::TypeOf(activation_dtype()),
                              .weights = onednn::TypeOf(activation_dtype()),
                              .accumulate = !residual.empty(),
                              .threads = omp_get_max_threads()};
  KX_RETURN_IF_ERROR(library_.Convolve(spec, src.data(), w.packed, w.bias.view().As<float>(),
                                       result.data(), space_));
  if (result.data() != dst.data()) CopyAll(result, dst);
  return Status();
}

// Where rows of an operand are made: for AMX within a border of zeros.
Result<TensorView> CpuOps::Operand(int64_t rows, int64_t width, const CpuConvWeights& w, int stride,
                                   const Pads& pads) {
  const int64_t channels = w.in_channels;
  if (plan_.path != ProductPath::kAmx) {
    const DType dtype = plan_.path == ProductPath::kWiden ? DType::kF32 : activation_dtype();
    const Shape shape{rows, width, channels};
    KX_ASSIGN_OR_RETURN(std::byte * memory,
                        space_.Bytes(Slot::kOperand, shape.NumElements() * SizeOf(dtype)));
    return TensorView(memory, dtype, shape);
  }
  const int64_t pixel = AmxConvChannels(channels);
  const int64_t row = (pads.left + width + pads.right) * pixel;
  const int64_t all = (pads.above + rows + pads.below) * row + AmxConvSlack(channels, stride);
  const int64_t size = SizeOf(DType::kBF16), first = pads.above * row + pads.left * pixel;
  KX_ASSIGN_OR_RETURN(std::byte * memory, space_.Bytes(Slot::kOperand, all * size));
  const auto clear = [&](int64_t begin, int64_t end) {
    std::memset(memory + begin * size, 0, static_cast<size_t>((end - begin) * size));
  };
  if (pixel != channels) {
    clear(0, all);
  } else {
    clear(0, first);
    for (int64_t y = 0; y < rows; ++y) {
      clear(first + y * row + width * pixel, y + 1 < rows ? first + (y + 1) * row : all);
    }
  }
  TensorView inside(memory + first * size, DType::kBF16, {rows, width, channels});
  inside.SetStride(0, row);
  inside.SetStride(1, pixel);
  return inside;
}

Status CpuOps::ConvolveBand(const ConstTensorView& src, const CpuConvWeights& w, int stride,
                            const Pads& pads, const ConstTensorView& residual,
                            const TensorView& dst) {
  if (plan_.path == ProductPath::kLibrary) {
    return LibraryConvolution(src, w, stride, pads, residual, dst);
  }
  Epilogue e{.bias = w.bias.view().As<float>()};
  if (plan_.path == ProductPath::kAmx) {
    e.addend = residual;
    AmxConvolve(WithBorder(src, pads), w.panels.data(), w.kernel, stride, e, dst);
    return Status();
  }
  if (!residual.empty()) e.addend = Pixels(residual);
  const StackedRows rows(
      {WeightRows(w.rows.view().Reshaped({w.out_channels, w.kernel * w.kernel * w.in_channels}))});
  return cpu::Multiply(F32Panels(), {{LeftRows::Patches(src, w.kernel, stride, pads), rows}}, e,
                       Pixels(dst), space_);
}

// A convolution of a picture of `height` rows, whose rows [begin, end) are rows_of(begin, end), by
// bands of dst.
template <class RowsOf>
Status CpuOps::ByBands(int64_t height, const CpuConvWeights& w, const ConvOptions& o,
                       const ConstTensorView& residual, const TensorView& dst,
                       const RowsOf& rows_of) {
  // What is read for it has stride^2 as many pixels.
  const int64_t rows =
      std::max<int64_t>(1, BandRows(dst.dim(0), dst.dim(1)) / (o.stride * o.stride));
  for (int64_t begin = 0; begin < dst.dim(0); begin += rows) {
    const int64_t end = std::min(begin + rows, dst.dim(0));
    const int64_t top = begin * o.stride - o.pad_begin;
    const int64_t bottom = (end - 1) * o.stride - o.pad_begin + w.kernel;
    const Pads pads{.above = std::max<int64_t>(0, -top),
                    .below = std::max<int64_t>(0, bottom - height),
                    .left = o.pad_begin,
                    .right = o.pad_end};
    KX_ASSIGN_OR_RETURN(const ConstTensorView src,
                        rows_of(std::max<int64_t>(0, top), std::min(bottom, height), pads));
    const ConstTensorView added = residual.empty() ? residual : residual.Rows(begin, end);
    KX_RETURN_IF_ERROR(ConvolveBand(src, w, o.stride, pads, added, dst.Rows(begin, end)));
  }
  return Status();
}

Status CpuOps::Convolution(const ConstTensorView& src, const ConvWeights& weights,
                           const ConvOptions& o, const ConstTensorView& residual,
                           const TensorView& dst) {
  const auto& w = static_cast<const CpuConvWeights&>(weights);
  if (plan_.path == ProductPath::kWiden) {  // reads and writes it where it is
    const Pads pads{o.pad_begin, o.pad_end, o.pad_begin, o.pad_end};
    return ConvolveBand(src, w, o.stride, pads, residual, dst);
  }
  const auto rows_of = [&](int64_t begin, int64_t end,
                           const Pads& pads) -> Result<ConstTensorView> {
    const ConstTensorView rows = src.Rows(begin, end);
    if (plan_.path == ProductPath::kLibrary) return rows;
    KX_ASSIGN_OR_RETURN(const TensorView copy, Operand(end - begin, src.dim(1), w, o.stride, pads));
    CopyAll(rows, copy);
    return ConstTensorView(copy);
  };
  return ByBands(src.dim(0), w, o, residual, dst, rows_of);
}

// Four convolutions of 2x2 instead of one of 3x3 on four times the pixels. A pixel (2y + py, 2x +
// px) of the enlarged picture and its eight neighbours show but four pixels of src, those of the
// square that begins at (y - 1 + py, x - 1 + px); the weights that meet the same one add up.
Status CpuOps::EnlargedConvolution(const ConstTensorView& src, const CpuConvWeights& w,
                                   const TensorView& dst) {
  const int64_t N = w.out_channels, C = w.in_channels, width = 2 * src.dim(1);
  KX_ASSIGN_OR_RETURN(float* kernel, space_.Floats(Slot::kKernel, N * 4 * C));  // [N,2,2,C]
  const StackedRows rows({WeightRows(ViewOf(kernel, {N, 4 * C}))});
  for (int64_t phase = 0; phase < 4; ++phase) {
    const int64_t py = phase / 2, px = phase % 2;
    SumKernel(w.rows.view(), py, px, kernel);
    TensorView pixels(dst.data() + (py * width + px) * N * SizeOf(dst.dtype()), dst.dtype(),
                      {src.dim(0), src.dim(1), N});
    pixels.SetStride(0, 2 * width * N);
    pixels.SetStride(1, 2 * N);
    KX_RETURN_IF_ERROR(cpu::Multiply(F32Panels(), {{LeftRows::Squares(src, 1 - py, 1 - px), rows}},
                                     {.bias = w.bias.view().As<float>()}, pixels, space_));
  }
  return Status();
}

void CpuOps::DoUpsampleConv2d(ConstTensorView src, const ConvWeights& weights, TensorView dst) {
  const auto& w = static_cast<const CpuConvWeights&>(weights);
  if (plan_.path == ProductPath::kWiden) return Keep(EnlargedConvolution(src, w, dst));
  const auto enlarged = [&](int64_t begin, int64_t end,
                            const Pads& pads) -> Result<ConstTensorView> {
    const int64_t first = begin / 2, last = (end + 1) / 2;  // rows of src
    KX_ASSIGN_OR_RETURN(const TensorView rows,
                        Operand(2 * (last - first), 2 * src.dim(1), w, 1, pads));
    UpsampleNearest2x(src.Rows(first, last), rows);
    return ConstTensorView(rows.Rows(begin - 2 * first, end - 2 * first));
  };
  Keep(ByBands(2 * src.dim(0), w, kSame3x3, ConstTensorView(), dst, enlarged));
}

void CpuOps::DoNormConv2d(ConstTensorView src, const PictureNorm& norm, const ConvWeights& weights,
                          ConstTensorView residual, TensorView dst) {
  const GroupFactors factors = FactorsOf(src, norm);
  const auto& w = static_cast<const CpuConvWeights&>(weights);
  const auto normed = [&](int64_t begin, int64_t end, const Pads& pads) -> Result<ConstTensorView> {
    KX_ASSIGN_OR_RETURN(const TensorView rows, Operand(end - begin, src.dim(1), w, 1, pads));
    NormalizePixels(src, norm, factors, begin * src.dim(1), end * src.dim(1), rows);
    return ConstTensorView(rows);
  };
  Keep(ByBands(src.dim(0), w, kSame3x3, residual, dst, normed));
}

void CpuOps::DoConv2d(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                      TensorView dst) {
  Keep(Convolution(src, w, o, ConstTensorView(), dst));
}

void CpuOps::DoConv2dAdd(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                         ConstTensorView residual, TensorView dst) {
  Keep(Convolution(src, w, o, residual, dst));
}

}  // namespace kontext::cpu
