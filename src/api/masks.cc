// kontext.h's masks: which of a picture's channels says what may change.
#include <algorithm>

#include "base/guard.h"
#include "base/status.h"
#include "io/picture.h"
#include "kontext/kontext.h"

namespace kontext {
namespace {

// Rec. 601 luma as Pillow's convert("L"): (19595 R + 38470 G + 7471 B + 2^15) / 2^16.
uint8_t Luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 0x8000u) >> 16);
}

Result<Mask> FromAlpha(const Pixels& p) {
  Mask mask{p.width, p.height, {}};
  bool coloured = false;
  for (size_t i = 0; i < p.data.size(); i += 4) {
    coloured = coloured || (p.data[i + 3] > 0 && Luma(&p.data[i]) < 255);
    mask.data.push_back(static_cast<uint8_t>(255 - p.data[i + 3]));
  }
  const auto changes = [](uint8_t v) { return v == 255; };
  if (!coloured && !std::all_of(mask.data.begin(), mask.data.end(), changes)) {
    return BadInput(
        "its visible part is white and the rest transparent, which can be read both ways; lay it "
        "over black (white may change), or paint the part to keep in another colour");
  }
  return mask;
}

}  // namespace

Result<Mask> MaskFromPixels(const Pixels& p) {
  return Guard([&]() -> Result<Mask> {
    if (p.width < 1 || p.height < 1 || (p.channels != 3 && p.channels != 4) ||
        p.data.size() != static_cast<size_t>(p.width) * static_cast<size_t>(p.height) *
                             static_cast<size_t>(p.channels)) {
      return Usage("mask: {}x{} with {} channels and {} bytes is no picture", p.width, p.height,
                   p.channels, p.data.size());
    }
    const auto step = static_cast<size_t>(p.channels);
    bool transparent = false;
    for (size_t i = 3; step == 4 && i < p.data.size(); i += 4) transparent |= p.data[i] < 255;
    if (transparent) return FromAlpha(p);
    Mask mask{p.width, p.height, {}};
    for (size_t i = 0; i < p.data.size(); i += step) mask.data.push_back(Luma(&p.data[i]));
    return mask;
  });
}

Result<Mask> LoadMask(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const DecodedPicture picture, ReadPicture(path, true));
  auto mask = MaskFromPixels(picture.pixels);
  if (!mask.ok()) return Status(mask.code(), path + ": " + mask.message());
  return mask;
}

}  // namespace kontext
