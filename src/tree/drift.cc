// How far an untouched part has moved (docs/drift.md).
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kontext/tree.h"

namespace kontext {
namespace {

constexpr int kBlock = 8;
// Mean absolute difference of a block's bytes, above which it counts as edited. Chosen, not
// measured: well above rounding, well below another colour.
constexpr double kEditedLevels = 12;

double Linear(double byte) {  // IEC 61966-2-1
  const double v = byte / 255;
  return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
}

// CIELAB of linear sRGB, white D65 (CIE 15).
std::array<double, 3> Lab(const std::array<double, 3>& rgb) {
  const double x = (0.4124 * rgb[0] + 0.3576 * rgb[1] + 0.1805 * rgb[2]) / 0.9505,
               y = 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2],
               z = (0.0193 * rgb[0] + 0.1192 * rgb[1] + 0.9505 * rgb[2]) / 1.089;
  const auto f = [](double t) {
    return t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116;
  };
  return {116 * f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))};
}

const uint8_t* At(const Pixels& p, int x, int y) {
  return p.data.data() +
         (static_cast<size_t>(y) * static_cast<size_t>(p.width) + static_cast<size_t>(x)) *
             static_cast<size_t>(p.channels);
}

double Luma(const Pixels& p, int x, int y) {
  const uint8_t* c = At(p, x, y);
  return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2];
}

bool Edges(const Mask& edited, int x, int y) {
  const auto free = [&](int u, int v) {
    return edited.data[static_cast<size_t>(v) * static_cast<size_t>(edited.width) +
                       static_cast<size_t>(u)] == 0;
  };
  return x > 0 && y > 0 && x + 1 < edited.width && y + 1 < edited.height && free(x, y) &&
         free(x - 1, y) && free(x + 1, y) && free(x, y - 1) && free(x, y + 1);
}

double Laplacian(const Pixels& p, int x, int y) {
  return std::abs(4 * Luma(p, x, y) - Luma(p, x - 1, y) - Luma(p, x + 1, y) - Luma(p, x, y - 1) -
                  Luma(p, x, y + 1));
}

bool SameSize(const Pixels& a, const Pixels& b) {
  return a.width == b.width && a.height == b.height;
}

}  // namespace

std::optional<Drift> MeasureDrift(const Pixels& then, const Pixels& now, const Mask& edited) {
  if (!SameSize(then, now) || edited.width != now.width || edited.height != now.height) return {};
  double error = 0, count = 0, sharp_then = 0, sharp_now = 0;
  std::array<double, 3> mean_then{}, mean_now{};
  for (int y = 0; y < now.height; ++y) {
    for (int x = 0; x < now.width; ++x) {
      if (edited.data[static_cast<size_t>(y) * static_cast<size_t>(now.width) +
                      static_cast<size_t>(x)] != 0)
        continue;
      ++count;
      for (size_t c = 0; c < 3; ++c) {
        const double a = At(then, x, y)[c], b = At(now, x, y)[c];
        error += (a - b) * (a - b);
        mean_then[c] += Linear(a);
        mean_now[c] += Linear(b);
      }
      if (!Edges(edited, x, y)) continue;
      sharp_then += Laplacian(then, x, y);
      sharp_now += Laplacian(now, x, y);
    }
  }
  if (count == 0) return {};
  Drift d;
  d.share = count / (static_cast<double>(now.width) * now.height);
  d.psnr_db = error == 0 ? std::numeric_limits<double>::infinity()
                         : 10 * std::log10(255 * 255 * 3 * count / error);
  for (size_t c = 0; c < 3; ++c) {
    mean_then[c] /= count;
    mean_now[c] /= count;
  }
  const std::array<double, 3> a = Lab(mean_then), b = Lab(mean_now);
  d.colour_shift = std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
  d.sharpness = sharp_then > 0 ? sharp_now / sharp_then : 1;
  return d;
}

Mask EditedBlocks(const Pixels& before, const Pixels& after) {
  Mask mask{after.width, after.height, {}};
  mask.data.assign(static_cast<size_t>(after.width) * static_cast<size_t>(after.height), 0);
  if (!SameSize(before, after)) {
    std::fill(mask.data.begin(), mask.data.end(), uint8_t{255});
    return mask;
  }
  for (int y0 = 0; y0 < after.height; y0 += kBlock) {
    for (int x0 = 0; x0 < after.width; x0 += kBlock) {
      const int y1 = std::min(y0 + kBlock, after.height), x1 = std::min(x0 + kBlock, after.width);
      double sum = 0;
      for (int y = y0; y < y1; ++y) {
        for (int x = x0; x < x1; ++x) {
          for (size_t c = 0; c < 3; ++c) sum += std::abs(At(before, x, y)[c] - At(after, x, y)[c]);
        }
      }
      if (sum / (3.0 * (y1 - y0) * (x1 - x0)) <= kEditedLevels) continue;
      for (int y = std::max(0, y0 - kBlock); y < std::min(after.height, y1 + kBlock); ++y) {
        for (int x = std::max(0, x0 - kBlock); x < std::min(after.width, x1 + kBlock); ++x) {
          mask.data[static_cast<size_t>(y) * static_cast<size_t>(after.width) +
                    static_cast<size_t>(x)] = 255;
        }
      }
    }
  }
  return mask;
}

}  // namespace kontext
