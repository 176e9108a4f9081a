// libFuzzer: the input is a picture file of any format. It decodes to pixels of the size it says,
// or to an error; the limits are small, so that time goes into formats and not into pixels.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "io/picture.h"

namespace kontext {
namespace {

// A promise that does not hold ends the run, so that libFuzzer keeps the input.
void Require(bool holds) {
  if (!holds) std::abort();
}

void Decode(std::string_view bytes, bool keep_alpha) {
  const PictureLimits limits{.max_pixels = 1 << 16, .max_side = 1 << 12};
  const auto decoded = DecodePicture(bytes, "fuzz", keep_alpha, limits);
  if (!decoded.ok()) {
    Require(decoded.code() == Code::kBadInput && !decoded.message().empty());
    return;
  }
  const Pixels& p = decoded->pixels;
  Require(p.width >= 1 && p.height >= 1 && p.width <= limits.max_side &&
          p.height <= limits.max_side);
  Require(p.channels == 3 || (p.channels == 4 && keep_alpha));
  Require(p.data.size() == static_cast<size_t>(p.width) * static_cast<size_t>(p.height) *
                               static_cast<size_t>(p.channels));
}

}  // namespace
}  // namespace kontext

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  kontext::Decode(bytes, false);
  kontext::Decode(bytes, true);
  return 0;
}
