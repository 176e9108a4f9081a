#include "io/resize.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <numbers>
#include <vector>

namespace kontext {
namespace {

// Pillow, Resample.c: PRECISION_BITS, 32 - 8 - 2.
constexpr int kPrecisionBits = 22;
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

// The source samples and fixed-point weights of every sample of the result, along one side.
struct Kernel {
  struct Window {
    int begin;         // first source sample
    int count;         // how many
    size_t weight_at;  // their weights: weights[weight_at ...]
  };
  std::vector<Window> windows;
  std::vector<int32_t> weights;
};

double Sinc(double t) {
  if (t == 0.0) return 1.0;
  t *= std::numbers::pi;
  return std::sin(t) / t;
}
double Lanczos3(double t) { return -3.0 <= t && t < 3.0 ? Sinc(t) * Sinc(t / 3) : 0.0; }

// Spec architecture 3.2. kInternal if 32-bit sums could overflow, which no size up to the limit
// does.
Result<Kernel> MakeKernel(int in, int out) {
  const double scale = static_cast<double>(in) / out;
  const double filter_scale = std::max(scale, 1.0);
  const double support = 3.0 * filter_scale;
  const double inverse = 1.0 / filter_scale;
  Kernel kernel;
  kernel.windows.reserve(static_cast<size_t>(out));
  std::vector<double> w;
  for (int x = 0; x < out; ++x) {
    const double centre = (x + 0.5) * scale;
    // NOLINTBEGIN(bugprone-incorrect-roundings): truncated as Pillow does
    const int lo = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int hi = std::min(static_cast<int>(centre + support + 0.5), in);
    // NOLINTEND(bugprone-incorrect-roundings)
    w.clear();
    double sum = 0;
    for (int i = lo; i < hi; ++i) {
      w.push_back(Lanczos3((i - centre + 0.5) * inverse));
      sum += w.back();
    }
    kernel.windows.push_back({lo, hi - lo, kernel.weights.size()});
    int64_t magnitude = 0;
    for (const double v : w) {
      const double fixed = v / sum * (1 << kPrecisionBits);
      kernel.weights.push_back(static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
      magnitude += std::abs(kernel.weights.back());
    }
    KX_ENSURE(magnitude * 255 + kHalf <= INT32_MAX);
  }
  return kernel;
}

uint8_t Clamp8(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

// Row `in` (C channels) at the result's columns [x0, x1).
template <int C>
void ResizeRow(const uint8_t* in, const Kernel& kernel, int x0, int x1, uint8_t* out) {
  for (int x = x0; x < x1; ++x, out += C) {
    const Kernel::Window& window = kernel.windows[static_cast<size_t>(x)];
    const int32_t* weight = kernel.weights.data() + window.weight_at;
    const uint8_t* p = in + static_cast<ptrdiff_t>(window.begin) * C;
    int32_t sum[C];
    for (int c = 0; c < C; ++c) sum[c] = kHalf;
    for (int i = 0; i < window.count; ++i, p += C) {
      for (int c = 0; c < C; ++c) sum[c] += p[c] * weight[i];
    }
    for (int c = 0; c < C; ++c) out[c] = Clamp8(sum[c]);
  }
}

// One result row of `n` bytes from rows that are `stride` bytes apart.
void ResizeColumns(const uint8_t* in, size_t stride, const Kernel& kernel, int y, size_t n,
                   uint8_t* out) {
  const Kernel::Window& window = kernel.windows[static_cast<size_t>(y)];
  const int32_t* weight = kernel.weights.data() + window.weight_at;
  constexpr size_t kBlock = 256;
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t block = std::min(kBlock, n - begin);
    int32_t sums[kBlock];
    std::fill_n(sums, block, kHalf);
    for (int i = 0; i < window.count; ++i) {
      const uint8_t* row = in + static_cast<size_t>(window.begin + i) * stride + begin;
      const int32_t k = weight[i];
      for (size_t b = 0; b < block; ++b) sums[b] += row[b] * k;
    }
    for (size_t b = 0; b < block; ++b) out[begin + b] = Clamp8(sums[b]);
  }
}

// Both passes. Between them lie src.height rows of a strip of the result's columns, no wider than
// memory allows: whole, 1x65535 to 65535x1 would need 13 GB there.
template <int C>
void ResizeStrips(const Pixels& src, const Kernel& across, const Kernel& down, Pixels& out) {
  constexpr int kBetweenBytes = 16 << 20;
  const int strip = std::clamp(kBetweenBytes / (src.height * C), 1, out.width);
  const size_t src_row = static_cast<size_t>(src.width) * C;
  const size_t out_row = static_cast<size_t>(out.width) * C;
  const size_t strip_row = static_cast<size_t>(strip) * C;
  std::vector<uint8_t> between(strip_row * static_cast<size_t>(src.height));
  for (int x0 = 0; x0 < out.width; x0 += strip) {
    const int x1 = std::min(x0 + strip, out.width);
#pragma omp parallel for schedule(static)
    for (int y = 0; y < src.height; ++y) {
      ResizeRow<C>(src.data.data() + static_cast<size_t>(y) * src_row, across, x0, x1,
                   between.data() + static_cast<size_t>(y) * strip_row);
    }
#pragma omp parallel for schedule(static)
    for (int y = 0; y < out.height; ++y) {
      ResizeColumns(
          between.data(), strip_row, down, y, static_cast<size_t>(x1 - x0) * C,
          out.data.data() + static_cast<size_t>(y) * out_row + static_cast<size_t>(x0) * C);
    }
  }
}

// Pillow resizes straight alpha by way of premultiplied samples (Convert.c, rgba2rgbA, rgbA2rgba).
void Premultiply(std::vector<uint8_t>& rgba) {
  for (size_t i = 0; i < rgba.size(); i += 4) {
    const int a = rgba[i + 3];
    for (size_t c = 0; c < 3; ++c) {
      rgba[i + c] = static_cast<uint8_t>((2 * rgba[i + c] * a + 255) / 510);  // round(v a / 255)
    }
  }
}
void Unpremultiply(std::vector<uint8_t>& rgba) {
  for (size_t i = 0; i < rgba.size(); i += 4) {
    const int a = rgba[i + 3];
    if (a == 0 || a == 255) continue;
    for (size_t c = 0; c < 3; ++c) {
      rgba[i + c] = static_cast<uint8_t>(std::min(255 * rgba[i + c] / a, 255));
    }
  }
}

Status CheckSizes(const Pixels& src, int width, int height) {
  const PictureLimits limits;
  const bool sound = src.width >= 1 && src.height >= 1 && (src.channels == 3 || src.channels == 4);
  KX_ENSURE(sound);
  KX_ENSURE(src.data.size() == static_cast<size_t>(src.width) * static_cast<size_t>(src.height) *
                                   static_cast<size_t>(src.channels));
  if (width < 1 || height < 1 || width > limits.max_side || height > limits.max_side ||
      int64_t{width} * height > limits.max_pixels) {
    return Usage("a size of {}x{} was asked for; expected sides from 1 to {} and at most {} pixels",
                 width, height, limits.max_side, limits.max_pixels);
  }
  return {};
}

Pixels Blank(int width, int height, int channels) {
  Pixels p;
  p.width = width;
  p.height = height;
  p.channels = channels;
  p.data.resize(static_cast<size_t>(width) * static_cast<size_t>(height) *
                static_cast<size_t>(channels));
  return p;
}

Status OutOfMemory(int width, int height) {
  return NoSpace("not enough memory to resize a picture to {}x{}", width, height);
}

Result<Pixels> Lanczos(const Pixels& src, int width, int height) {
  KX_RETURN_IF_ERROR(CheckSizes(src, width, height));
  if (width == src.width && height == src.height) return src;
  // Along a side that does not change every kernel is a single 1.0 (the sinc's zeros fall on the
  // other samples), so running that pass and skipping it, as Pillow does, are the same.
  KX_ASSIGN_OR_RETURN(const Kernel across, MakeKernel(src.width, width));
  KX_ASSIGN_OR_RETURN(const Kernel down, MakeKernel(src.height, height));
  Pixels out = Blank(width, height, src.channels);
  if (src.channels == 3) {
    ResizeStrips<3>(src, across, down, out);
  } else {
    Pixels premultiplied = src;
    Premultiply(premultiplied.data);
    ResizeStrips<4>(premultiplied, across, down, out);
    Unpremultiply(out.data);
  }
  return out;
}

}  // namespace

Result<Pixels> ResizeLanczos(const Pixels& src, int width, int height) {
  try {
    return Lanczos(src, width, height);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(width, height);
  }
}

Result<Pixels> ResizeNearest(const Pixels& src, int width, int height) {
  KX_RETURN_IF_ERROR(CheckSizes(src, width, height));
  try {
    Pixels out = Blank(width, height, src.channels);
    const auto channels = static_cast<size_t>(src.channels);
    uint8_t* to = out.data.data();
    for (int64_t y = 0; y < height; ++y) {
      const int64_t from_y = (2 * y + 1) * src.height / (2 * int64_t{height});
      for (int64_t x = 0; x < width; ++x, to += channels) {
        const int64_t from_x = (2 * x + 1) * src.width / (2 * int64_t{width});
        const auto from = static_cast<size_t>(from_y * src.width + from_x) * channels;
        std::copy_n(src.data.data() + from, channels, to);
      }
    }
    return out;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(width, height);
  }
}

Result<Pixels> Crop(const Pixels& src, int x, int y, int width, int height) {
  KX_RETURN_IF_ERROR(CheckSizes(src, width, height));
  if (x < 0 || y < 0 || width > src.width - x || height > src.height - y) {
    return Usage("the window {}x{} at ({},{}) does not lie inside the picture of {}x{}", width,
                 height, x, y, src.width, src.height);
  }
  try {
    Pixels out = Blank(width, height, src.channels);
    const auto channels = static_cast<size_t>(src.channels);
    const size_t row = static_cast<size_t>(width) * channels;
    for (size_t r = 0; r < static_cast<size_t>(height); ++r) {
      const size_t from =
          (static_cast<size_t>(y) + r) * static_cast<size_t>(src.width) + static_cast<size_t>(x);
      std::copy_n(src.data.data() + from * channels, row, out.data.data() + r * row);
    }
    return out;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(width, height);
  }
}

}  // namespace kontext
