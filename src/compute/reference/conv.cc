#include "compute/reference/product.h"
#include "compute/reference/reference_ops.h"

namespace kontext {
namespace {

struct Weights : ConvWeights {
  Weights(const ConstTensorView& w, const ConstTensorView& b)
      : ConvWeights(w.dim(0), w.dim(1), w.dim(2)),
        weight(CopyOfVector(w.Reshaped({w.shape().NumElements()}))),
        bias(CopyOfVector(b)) {}
  const std::vector<float> weight, bias;  // [N,C,k,k], [N]
};

// The input under the kernel at output pixel (y, x), ordered as a weight row [C,k,k]; 0 outside.
void LoadPatch(const ConstTensorView& src, int64_t kernel, const ConvOptions& o, int64_t y,
               int64_t x, double* patch) {
  const int64_t height = src.dim(0), width = src.dim(1), channels = src.dim(2);
  for (int64_t ky = 0; ky < kernel; ++ky) {
    for (int64_t kx = 0; kx < kernel; ++kx) {
      const int64_t sy = y * o.stride + ky - o.pad_begin, sx = x * o.stride + kx - o.pad_begin;
      const bool inside = sy >= 0 && sy < height && sx >= 0 && sx < width;
      for (int64_t c = 0; c < channels; ++c) {
        patch[(c * kernel + ky) * kernel + kx] =
            inside ? Load(src, (sy * width + sx) * channels + c) : 0.0;
      }
    }
  }
}

}  // namespace

Result<std::unique_ptr<ConvWeights>> ReferenceOps::DoPrepareConv(ConstTensorView weight,
                                                                 ConstTensorView bias) {
  return std::unique_ptr<ConvWeights>(std::make_unique<Weights>(weight, bias));
}

void ReferenceOps::DoConv2d(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                            TensorView dst) {
  const auto* weights = dynamic_cast<const Weights*>(&w);
  if (weights == nullptr) return Fail(Internal("Conv2d: weights of another backend"));
  const int64_t width = dst.dim(1), channels = dst.dim(2);
  const int64_t patch_size = w.in_channels * w.kernel * w.kernel;
  ForEachProduct(
      ViewOf(weights->weight.data(), {w.out_channels, patch_size}), weights->bias.data(),
      dst.dim(0) * width,
      [&](int64_t pixel, double* patch) {
        LoadPatch(src, w.kernel, o, pixel / width, pixel % width, patch);
      },
      [&](int64_t pixel, int64_t n, double value) { Store(dst, pixel * channels + n, value); });
}

void ReferenceOps::DoUpsample2x(ConstTensorView src, TensorView dst) {
  const int64_t height = dst.dim(0), width = dst.dim(1), channels = dst.dim(2);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t from = ((y / 2) * (width / 2) + x / 2) * channels;
      for (int64_t c = 0; c < channels; ++c) {
        Store(dst, (y * width + x) * channels + c, Load(src, from + c));
      }
    }
  }
}

}  // namespace kontext
