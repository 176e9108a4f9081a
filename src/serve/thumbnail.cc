#include "serve/thumbnail.h"

#include <algorithm>

namespace kontext::serve {

Pixels Thumbnail(const Pixels& picture, int side) {
  const int longer = std::max(picture.width, picture.height);
  const auto scaled = [&](int v) {
    if (longer <= side) return v;
    return std::max(1, static_cast<int>(int64_t{v} * side / longer));
  };
  Pixels out{scaled(picture.width), scaled(picture.height), 3, {}};
  out.data.reserve(size_t{3} * static_cast<size_t>(out.width) * static_cast<size_t>(out.height));
  for (int y = 0; y < out.height; ++y) {
    const int64_t y0 = int64_t{y} * picture.height / out.height;
    const int64_t y1 = std::max(y0 + 1, int64_t{y + 1} * picture.height / out.height);
    for (int x = 0; x < out.width; ++x) {
      const int64_t x0 = int64_t{x} * picture.width / out.width;
      const int64_t x1 = std::max(x0 + 1, int64_t{x + 1} * picture.width / out.width);
      for (int c = 0; c < 3; ++c) {
        int64_t sum = 0;
        for (int64_t v = y0; v < y1; ++v) {
          for (int64_t u = x0; u < x1; ++u)
            sum +=
                picture.data[static_cast<size_t>((v * picture.width + u) * picture.channels + c)];
        }
        out.data.push_back(static_cast<uint8_t>(sum / ((y1 - y0) * (x1 - x0))));
      }
    }
  }
  return out;
}

}  // namespace kontext::serve
