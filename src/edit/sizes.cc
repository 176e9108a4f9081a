#include "edit/sizes.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <tuple>

namespace kontext {

Size NearestPreferred(Size picture, const std::vector<Size>& preferred) {
  const double aspect = static_cast<double>(picture.width) / picture.height;
  const auto key = [&](const Size& s) {
    return std::tuple(std::abs(aspect - static_cast<double>(s.width) / s.height), s.width,
                      s.height);
  };
  return *std::min_element(preferred.begin(), preferred.end(),
                           [&](const Size& a, const Size& b) { return key(a) < key(b); });
}

Size SquareOf(const std::vector<Size>& preferred) {
  return *std::min_element(preferred.begin(), preferred.end(), [](const Size& a, const Size& b) {
    return std::abs(a.width - a.height) < std::abs(b.width - b.height);
  });
}

Size ScaledToArea(Size picture, int64_t area, int multiple) {
  const double aspect = static_cast<double>(picture.width) / picture.height;
  const auto side = [&](double length) {
    return std::max(multiple, static_cast<int>(std::lround(length / multiple)) * multiple);
  };
  const double width = std::sqrt(static_cast<double>(area) * aspect);
  return {side(width), side(width / aspect)};
}

Size DiffusersSize(Size asked, int64_t area, int multiple) {
  const double aspect = static_cast<double>(asked.width) / asked.height;
  const auto side = [&](double length) {  // nearbyint rounds half to even, as Python's round()
    return std::max(multiple, static_cast<int>(std::nearbyint(length)) / multiple * multiple);
  };
  return {side(std::sqrt(static_cast<double>(area) * aspect)),
          side(std::sqrt(static_cast<double>(area) / aspect))};
}

Size FlooredTo(Size size, int multiple) {
  return {std::max(multiple, size.width / multiple * multiple),
          std::max(multiple, size.height / multiple * multiple)};
}

Size RaisedTo(Size size, int multiple) {
  return FlooredTo({size.width + multiple - 1, size.height + multiple - 1}, multiple);
}

}  // namespace kontext
