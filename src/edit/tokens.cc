#include "edit/tokens.h"

#include <algorithm>

namespace kontext {
namespace {

// Calls f(token, channel, y, x, c) for every value of a packed grid.
template <class F>
void ForEachValue(int64_t rows, int64_t cols, int64_t channels, const F& f) {
  for (int64_t y = 0; y < 2 * rows; ++y) {
    for (int64_t x = 0; x < 2 * cols; ++x) {
      const int64_t token = (y / 2) * cols + x / 2;
      for (int64_t c = 0; c < channels; ++c) f(token, c * 4 + (y % 2) * 2 + x % 2, y, x, c);
    }
  }
}

}  // namespace

void Pack(ConstTensorView latents, TensorView tokens) {
  const int64_t w = latents.dim(1), channels = latents.dim(2);
  const float* in = latents.As<float>();
  float* out = tokens.As<float>();
  ForEachValue(latents.dim(0) / 2, w / 2, channels,
               [&](int64_t t, int64_t k, int64_t y, int64_t x, int64_t c) {
                 out[t * 4 * channels + k] = in[(y * w + x) * channels + c];
               });
}

void Unpack(ConstTensorView tokens, TensorView latents) {
  const int64_t w = latents.dim(1), channels = latents.dim(2);
  const float* in = tokens.As<float>();
  float* out = latents.As<float>();
  ForEachValue(latents.dim(0) / 2, w / 2, channels,
               [&](int64_t t, int64_t k, int64_t y, int64_t x, int64_t c) {
                 out[(y * w + x) * channels + c] = in[t * 4 * channels + k];
               });
}

void PackPlanes(const std::vector<float>& planes, Grid grid, TensorView tokens) {
  const int64_t h = 2 * grid.rows, w = 2 * grid.cols, channels = tokens.dim(1) / 4;
  float* out = tokens.As<float>();
  ForEachValue(grid.rows, grid.cols, channels,
               [&](int64_t t, int64_t k, int64_t y, int64_t x, int64_t c) {
                 out[t * 4 * channels + k] = planes[static_cast<size_t>((c * h + y) * w + x)];
               });
}

std::vector<TokenId> MakeIds(int64_t text_tokens, Grid target,
                             const std::vector<Grid>& references) {
  std::vector<TokenId> ids(static_cast<size_t>(text_tokens), TokenId{0, 0, 0});
  const auto add = [&](float index, Grid grid, int64_t row0, int64_t col0) {
    for (int64_t y = 0; y < grid.rows; ++y) {
      for (int64_t x = 0; x < grid.cols; ++x) {
        ids.push_back({index, static_cast<float>(row0 + y), static_cast<float>(col0 + x)});
      }
    }
  };
  add(0, target, 0, 0);
  // Extent of the references so far, in latents, as ComfyUI counts (model.py process_img).
  int64_t h = 0, w = 0;
  for (const Grid& grid : references) {
    const int64_t rh = 2 * grid.rows, rw = 2 * grid.cols;
    int64_t row0 = 0, col0 = 0;
    (rh + h > rw + w ? col0 : row0) = rh + h > rw + w ? w : h;
    h = std::max(h, rh + row0);
    w = std::max(w, rw + col0);
    add(1, grid, (row0 + 1) / 2, (col0 + 1) / 2);
  }
  return ids;
}

}  // namespace kontext
