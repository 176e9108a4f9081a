#include <cmath>
#include <vector>

#include "compute/reference/access.h"
#include "compute/reference/activation.h"
#include "compute/reference/reference_ops.h"
#include "compute/reference/walk.h"

namespace kontext {

void ReferenceOps::DoLayerNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias,
                               float eps, TensorView dst) {
  const int64_t channels = src.dim(1);
  std::vector<double> row(static_cast<size_t>(channels));
  for (int64_t t = 0; t < src.dim(0); ++t) {
    LoadRow(src, t * src.stride(0), channels, row.data());
    double mean = 0, variance = 0;
    for (double x : row) mean += x;
    mean /= static_cast<double>(channels);
    for (double x : row) variance += (x - mean) * (x - mean);
    variance /= static_cast<double>(channels);  // biased
    const double scale = 1 / std::sqrt(variance + static_cast<double>(eps));
    for (int64_t d = 0; d < channels; ++d) {
      const double w = weight.empty() ? 1.0 : Load(weight, d);
      const double b = bias.empty() ? 0.0 : Load(bias, d);
      Store(dst, t * dst.stride(0) + d, (row[static_cast<size_t>(d)] - mean) * scale * w + b);
    }
  }
}

void ReferenceOps::DoRmsNorm(ConstTensorView src, ConstTensorView weight, float eps,
                             TensorView dst) {
  const int64_t channels = src.shape().back();
  std::vector<double> row(static_cast<size_t>(channels));
  Walk<2>({src, dst}, src.rank() - 1, [&](const auto& at) {
    LoadRow(src, at[0], channels, row.data());
    double squares = 0;
    for (double x : row) squares += x * x;
    const double scale =
        1 / std::sqrt(squares / static_cast<double>(channels) + static_cast<double>(eps));
    for (int64_t d = 0; d < channels; ++d) {
      Store(dst, at[1] + d, row[static_cast<size_t>(d)] * scale * Load(weight, d));
    }
  });
}

void ReferenceOps::DoGroupNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias,
                               int groups, float eps, Activation act, TensorView dst) {
  const int64_t pixels = src.dim(0) * src.dim(1), channels = src.dim(2);
  const int64_t width = channels / groups;  // channels of a group
  const double count = static_cast<double>(pixels * width);
  for (int64_t first = 0; first < channels; first += width) {
    double mean = 0, variance = 0;
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = first; c < first + width; ++c) mean += Load(src, p * channels + c);
    }
    mean /= count;
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = first; c < first + width; ++c) {
        const double centred = Load(src, p * channels + c) - mean;
        variance += centred * centred;
      }
    }
    const double scale = 1 / std::sqrt(variance / count + static_cast<double>(eps));  // biased
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = first; c < first + width; ++c) {
        const double normed = (Load(src, p * channels + c) - mean) * scale;
        Store(dst, p * channels + c, Activated(act, normed * Load(weight, c) + Load(bias, c)));
      }
    }
  }
}

}  // namespace kontext
