#include "edit/preview.h"

#include <algorithm>
#include <cmath>

#include "edit/prepare_image.h"
#include "vae/vae.h"

namespace kontext {
namespace {

// The mean of each block of factor x factor pixels: what one latent stands for.
std::array<double, 3> BlockMean(ConstTensorView pixels, int64_t y, int64_t x, int64_t factor) {
  std::array<double, 3> mean{};
  const float* p = pixels.As<float>();
  for (int64_t dy = 0; dy < factor; ++dy) {
    for (int64_t dx = 0; dx < factor; ++dx) {
      const float* rgb = p + ((y * factor + dy) * pixels.dim(1) + x * factor + dx) * 3;
      for (size_t c = 0; c < 3; ++c) mean[c] += rgb[c];
    }
  }
  for (double& m : mean) m /= static_cast<double>(factor * factor);
  return mean;
}

// 256 x 256 pixels: patches of 32 in colours spread over the cube, each shaded from dark to light.
Pixels ColourChart() {
  constexpr int kSide = PreviewMap::kChartSide, kPatch = 32;
  Pixels chart{kSide, kSide, 3, {}};
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const int patch = (y / kPatch) * (kSide / kPatch) + x / kPatch;  // 0..63: two bits per colour
      const double shade = 0.7 + 0.3 * (y % kPatch) / (kPatch - 1);
      for (int c = 0; c < 3; ++c) {
        const double level = 255.0 * ((patch >> (2 * c)) & 3) / 3;
        chart.data.push_back(static_cast<uint8_t>(level * shade));
      }
    }
  }
  return chart;
}

using Row = std::vector<double>;

// Solves a x = b for symmetric positive definite a [n,n] and three right sides, by Cholesky.
std::vector<std::array<double, 3>> Solve(std::vector<Row> a, std::vector<std::array<double, 3>> b) {
  const size_t n = a.size();
  for (size_t i = 0; i < n; ++i) {  // a = l l^T, l in the lower triangle
    for (size_t j = 0; j <= i; ++j) {
      double sum = a[i][j];
      for (size_t k = 0; k < j; ++k) sum -= a[i][k] * a[j][k];
      a[i][j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / a[j][j];
    }
  }
  for (size_t c = 0; c < 3; ++c) {
    for (size_t i = 0; i < n; ++i) {
      for (size_t k = 0; k < i; ++k) b[i][c] -= a[i][k] * b[k][c];
      b[i][c] /= a[i][i];
    }
    for (size_t i = n; i-- > 0;) {
      for (size_t k = i + 1; k < n; ++k) b[i][c] -= a[k][i] * b[k][c];
      b[i][c] /= a[i][i];
    }
  }
  return b;
}

}  // namespace

Result<PreviewMap> PreviewMap::ForModel(const Model& model, Ops& ops, Observer* observer) {
  const Pixels chart = ColourChart();
  KX_ASSIGN_OR_RETURN(const Tensor pixels, ToUnitRange(chart));
  const int64_t factor = model.vae_config.factor();
  const Shape shape{chart.height / factor, chart.width / factor, model.vae_config.latent_channels};
  KX_ASSIGN_OR_RETURN(Tensor latents, Tensor::Allocate(DType::kF32, shape));
  KX_RETURN_IF_ERROR(
      EncodeLatents(model.vae_config, model.vae, pixels.view(), ops, observer, latents.view()));
  return Fit(latents.view(), pixels.view());
}

PreviewMap PreviewMap::Fit(ConstTensorView latents, ConstTensorView pixels) {
  const int64_t h = latents.dim(0), w = latents.dim(1), z = latents.dim(2);
  const auto n = static_cast<size_t>(z + 1);
  std::vector<Row> gram(n, Row(n, 0.0));  // sum of a a^T over positions, a = (latent, 1)
  std::vector<std::array<double, 3>> right(n, std::array<double, 3>{});
  Row a(n, 1.0);
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      std::copy_n(latents.As<float>() + (y * w + x) * z, z, a.begin());
      const std::array<double, 3> rgb = BlockMean(pixels, y, x, pixels.dim(0) / h);
      for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < n; ++j) gram[i][j] += a[i] * a[j];
        for (size_t c = 0; c < 3; ++c) right[i][c] += a[i] * rgb[c];
      }
    }
  }
  // Ridge: a flat picture leaves directions of the latents undetermined; they get weight 0.
  for (size_t i = 0; i < n; ++i) gram[i][i] += 1e-2 * static_cast<double>(h * w);
  PreviewMap map;
  map.channels_ = z;
  map.matrix_ = Solve(std::move(gram), std::move(right));
  return map;
}

Pixels PreviewMap::Draw(ConstTensorView latents) const {
  Pixels out{static_cast<int>(latents.dim(1)), static_cast<int>(latents.dim(0)), 3, {}};
  const int64_t count = latents.dim(0) * latents.dim(1);
  out.data.resize(static_cast<size_t>(count) * 3);
  const auto z = static_cast<size_t>(channels_);
  for (int64_t i = 0; i < count; ++i) {
    const float* latent = latents.As<float>() + i * channels_;
    for (size_t c = 0; c < 3; ++c) {
      double value = matrix_[z][c];
      for (size_t k = 0; k < z; ++k) value += matrix_[k][c] * static_cast<double>(latent[k]);
      const double byte = std::clamp((value + 1) * 127.5, 0.0, 255.0);
      out.data[static_cast<size_t>(i) * 3 + c] = static_cast<uint8_t>(std::lround(byte));
    }
  }
  return out;
}

}  // namespace kontext
