#include "edit/mask.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "io/resize.h"

namespace kontext {
namespace {

// A mask drawn for the same picture at another size differs in aspect by rounding only.
constexpr double kMaxAspectError = 0.01;

// The mask at `size`, by nearest neighbour: no value that was not in it.
std::vector<uint8_t> AtSize(const Mask& mask, Size size) {
  std::vector<uint8_t> out;
  out.reserve(static_cast<size_t>(size.width) * static_cast<size_t>(size.height));
  for (int64_t y = 0; y < size.height; ++y) {
    const int64_t row = (2 * y + 1) * mask.height / (2 * int64_t{size.height}) * mask.width;
    for (int64_t x = 0; x < size.width; ++x) {
      const int64_t from = row + (2 * x + 1) * mask.width / (2 * int64_t{size.width});
      out.push_back(mask.data[static_cast<size_t>(from)]);
    }
  }
  return out;
}

// min over j of (i - j)^2 + f[j] for every i, by the lower envelope of parabolas (Felzenszwalb and
// Huttenlocher, "Distance Transforms of Sampled Functions", 2012, algorithm 1). Infinite f[j] are
// no parabolas.
struct SquaredDistance {
  std::vector<size_t> centre;  // of each parabola of the envelope
  std::vector<double> begin;   // where it is the lowest

  void Transform(const std::vector<double>& f, std::vector<double>& out) {
    constexpr double kFar = std::numeric_limits<double>::infinity();
    centre.clear();
    begin.clear();
    for (size_t q = 0; q < f.size(); ++q) {
      if (f[q] == kFar) continue;
      double from = -kFar;
      while (!centre.empty()) {
        const auto p = static_cast<double>(centre.back()), x = static_cast<double>(q);
        from = ((f[q] + x * x) - (f[centre.back()] + p * p)) / (2 * (x - p));
        if (from > begin.back()) break;
        centre.pop_back();
        begin.pop_back();
        from = -kFar;
      }
      centre.push_back(q);
      begin.push_back(from);
    }
    size_t k = 0;
    for (size_t i = 0; i < f.size(); ++i) {
      const auto x = static_cast<double>(i);
      while (k + 1 < begin.size() && begin[k + 1] <= x) ++k;
      if (centre.empty()) {
        out[i] = kFar;
        continue;
      }
      const double d = x - static_cast<double>(centre[k]);
      out[i] = d * d + f[centre[k]];
    }
  }
};

// The squared distance of every pixel to the nearest black one, in pixels; infinite without one.
std::vector<float> SquaredDistanceToBlack(const std::vector<uint8_t>& mask, Size size) {
  const auto width = static_cast<size_t>(size.width), height = static_cast<size_t>(size.height);
  std::vector<float> distance(mask.size());
  SquaredDistance pass;
  std::vector<double> line(height), result(height);
  for (size_t x = 0; x < width; ++x) {
    for (size_t y = 0; y < height; ++y) {
      line[y] = mask[y * width + x] == 0 ? 0 : std::numeric_limits<double>::infinity();
    }
    pass.Transform(line, result);
    for (size_t y = 0; y < height; ++y) distance[y * width + x] = static_cast<float>(result[y]);
  }
  line.resize(width);
  result.resize(width);
  for (size_t y = 0; y < height; ++y) {
    for (size_t x = 0; x < width; ++x) line[x] = static_cast<double>(distance[y * width + x]);
    pass.Transform(line, result);
    for (size_t x = 0; x < width; ++x) distance[y * width + x] = static_cast<float>(result[x]);
  }
  return distance;
}

}  // namespace

Status CheckMask(const EditRequest& r, const EditLimits& limits, std::vector<std::string>& notes) {
  if (r.feather_px < 0 || r.feather_px > limits.max_feather_px) {
    return Usage("feather {}: must be 0..{} pixels", r.feather_px, limits.max_feather_px);
  }
  if (!r.mask) {
    if (r.feather_px == 0) return Status();
    return Usage("feather {}: softens the edge of a mask, and there is no mask", r.feather_px);
  }
  if (r.images.empty()) return Usage("mask: there is no picture of which it could keep parts");
  if (r.like == Like::kComfyUi) {
    return Usage(
        "mask: ComfyUI's habits crop the picture, so that an edit does not cover all of it; use "
        "another \"like\", or none");
  }
  const Mask& m = *r.mask;
  if (m.width < 1 || m.height < 1 || m.width > limits.max_mask_side ||
      m.height > limits.max_mask_side ||
      m.data.size() != static_cast<size_t>(m.width) * static_cast<size_t>(m.height)) {
    return Usage("mask: {}x{} with {} bytes is no mask", m.width, m.height, m.data.size());
  }
  const Size picture{r.images[0].width, r.images[0].height};
  const double aspect = static_cast<double>(m.width) / m.height,
               wanted = static_cast<double>(picture.width) / picture.height;
  if (std::abs(aspect / wanted - 1) > kMaxAspectError) {
    return Usage("mask: is {}x{}, the picture {}x{}; expected that size, or one of its aspect",
                 m.width, m.height, picture.width, picture.height);
  }
  if (Size{m.width, m.height} != picture) {
    notes.push_back(fmt::format("mask: {}x{} scaled to the picture's {}x{}", m.width, m.height,
                                picture.width, picture.height));
  }
  const auto white = [](uint8_t v) { return v == 255; };
  if (std::all_of(m.data.begin(), m.data.end(), white)) {
    notes.emplace_back("mask: it is white all over, so all of the picture may change");
  }
  return Status();
}

std::vector<float> MaskWeights::Cells(int64_t rows, int64_t cols) const {
  std::vector<float> cells(static_cast<size_t>(rows * cols), 0.0f);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t y0 = r * size.height / rows, y1 = ((r + 1) * size.height + rows - 1) / rows;
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t x0 = c * size.width / cols, x1 = ((c + 1) * size.width + cols - 1) / cols;
      for (int64_t y = y0; y < y1; ++y) {
        const uint8_t* row = values.data() + y * size.width;
        const bool any = std::any_of(row + x0, row + x1, [](uint8_t v) { return v > 0; });
        if (any) cells[static_cast<size_t>(r * cols + c)] = 1.0f;
      }
    }
  }
  return cells;
}

Result<MaskWeights> WeighMask(const EditRequest& request) {
  MaskWeights w;
  w.size = {request.images[0].width, request.images[0].height};
  w.values = AtSize(*request.mask, w.size);
  if (request.feather_px > 0) {
    const std::vector<float> squared = SquaredDistanceToBlack(w.values, w.size);
    const float full = static_cast<float>(request.feather_px) + 1;
    for (size_t i = 0; i < w.values.size(); ++i) {
      const float share = std::min(1.0f, std::sqrt(squared[i]) / full);
      w.values[i] = static_cast<uint8_t>(std::lround(static_cast<float>(w.values[i]) * share));
    }
  }
  const auto black = [](uint8_t v) { return v == 0; };
  if (std::all_of(w.values.begin(), w.values.end(), black)) {
    return Usage("mask: nothing in it may change{}; white is what may, black is kept",
                 request.feather_px > 0 ? fmt::format(" (feather {})", request.feather_px) : "");
  }
  return w;
}

Result<Pixels> PasteBack(const Pixels& picture, const Pixels& edit, const MaskWeights& weights) {
  KX_ENSURE(edit.channels == 3 && weights.size == (Size{picture.width, picture.height}));
  KX_ASSIGN_OR_RETURN(const Pixels scaled, ResizeLanczos(edit, picture.width, picture.height));
  Pixels out = picture;
  const auto channels = static_cast<size_t>(picture.channels);
  for (size_t i = 0; i < weights.values.size(); ++i) {
    const int w = weights.values[i];
    if (w == 0) continue;
    for (size_t c = 0; c < 3; ++c) {
      uint8_t& to = out.data[i * channels + c];
      to = static_cast<uint8_t>((w * scaled.data[3 * i + c] + (255 - w) * to + 127) / 255);
    }
  }
  return out;
}

}  // namespace kontext
