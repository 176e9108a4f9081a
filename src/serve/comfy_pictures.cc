// The nodes that make pictures without the model, as ComfyUI's nodes.py, nodes_images.py and
// nodes_flux.py do it.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/status.h"
#include "serve/comfy.h"

namespace kontext::serve {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 26;  // of all pictures of one graph

size_t At(const Pixels& p, int x, int y) {
  return (static_cast<size_t>(y) * static_cast<size_t>(p.width) + static_cast<size_t>(x)) *
         static_cast<size_t>(p.channels);
}

Pixels Filled(int width, int height, const std::array<uint8_t, 3>& colour) {
  Pixels p{width, height, 3, {}};
  p.data.resize(size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height));
  for (size_t i = 0; i < p.data.size(); ++i) p.data[i] = colour[i % 3];
  return p;
}

// `from` with its top left corner at (x, y) of `to`; both of 3 channels; it fits.
void Put(const Pixels& from, Pixels& to, int x, int y) {
  const size_t row = size_t{3} * static_cast<size_t>(from.width);
  for (int line = 0; line < from.height; ++line)
    std::copy_n(from.data.begin() + static_cast<std::ptrdiff_t>(At(from, 0, line)), row,
                to.data.begin() + static_cast<std::ptrdiff_t>(At(to, x, y + line)));
}

std::array<uint8_t, 3> Colour(const std::string& name) {
  if (name == "white") return {255, 255, 255};
  if (name == "red") return {255, 0, 0};
  if (name == "green") return {0, 255, 0};
  if (name == "blue") return {0, 0, 255};
  return {0, 0, 0};
}

}  // namespace

Pixels WithoutAlpha(const Pixels& picture) {
  const auto step = static_cast<size_t>(picture.channels);
  const size_t count = picture.data.size() / step;
  Pixels out{picture.width, picture.height, 3, std::vector<uint8_t>(count * 3)};
  for (size_t i = 0; i < count; ++i) {
    for (size_t c = 0; c < 3; ++c) out.data[i * 3 + c] = picture.data[i * step + c];
  }
  return out;
}

const Pixels* ComfyPictures::Find(const std::string& node) const {
  const auto it = made_.find(node);
  return it == made_.end() ? nullptr : &it->second;
}

bool ComfyPictures::Afford(const std::string& id, int64_t width, int64_t height) {
  if (width > 0 && height > 0 && width <= 65535 && height <= 65535 &&
      pixels_ + width * height <= kMostPixels) {
    pixels_ += width * height;
    return true;
  }
  graph_.Wrong(id, "", "custom_validation_failed", "Custom validation failed for node",
               fmt::format("the pictures of a prompt have at most {} pixels in all", kMostPixels));
  return false;
}

void ComfyPictures::Compute() {
  for (const std::string& id : graph_.order()) {
    const std::string name = graph_.ClassOf(id);
    std::optional<Pixels> made;
    if (name == "LoadImage" || name == "LoadImageOutput") {
      made = Load(id, false);
    } else if (name == "ImageStitch") {
      made = Stitch(id);
    } else if (name == "ImageScale") {
      made = Scale(id);
    } else if (name == "FluxKontextImageScale") {
      made = ScaleForKontext(id);
    } else {
      continue;
    }
    if (!graph_.sound()) return;
    made_[id] = std::move(*made);
  }
}

// ComfyUI drops transparency without looking at it.
std::optional<Pixels> ComfyPictures::Load(const std::string& id, bool keep_alpha) {
  const std::string text = graph_.Text(id, "image");
  const ComfyName name =
      ComfyFiles::Parse(text, graph_.ClassOf(id) == "LoadImageOutput" ? "output" : "input");
  const auto bytes = files_.Read(name);
  auto picture =
      bytes.ok() ? reader_.Read(*bytes, "image", true) : Result<LoadedPicture>(bytes.status());
  if (!picture.ok()) {
    graph_.Wrong(id, "image", "custom_validation_failed", "Custom validation failed for node",
                 "image - Invalid image file: " + text.substr(0, 200));
    return std::nullopt;
  }
  Pixels& p = picture->pixels;
  if (!Afford(id, p.width, p.height)) return std::nullopt;
  if (keep_alpha || p.channels == 3) return std::move(p);
  return WithoutAlpha(p);
}

// comfy.utils.common_upscale: `center` cuts the longer side first.
std::optional<Pixels> ComfyPictures::Resized(const std::string& id, const Pixels& picture,
                                             Size size, bool center) {
  int x = 0, y = 0;
  if (center) {
    const double old_aspect = double{1} * picture.width / picture.height;
    const double new_aspect = double{1} * size.width / size.height;
    if (old_aspect > new_aspect)
      x = static_cast<int>(std::nearbyint(picture.width * (1 - new_aspect / old_aspect) / 2));
    if (old_aspect < new_aspect)
      y = static_cast<int>(std::nearbyint(picture.height * (1 - old_aspect / new_aspect) / 2));
  }
  const int width = std::max(1, picture.width - 2 * x),
            height = std::max(1, picture.height - 2 * y);
  if (!Afford(id, size.width, size.height)) return std::nullopt;
  Pixels window = Filled(width, height, {});
  const size_t row = size_t{3} * static_cast<size_t>(width);
  for (int line = 0; line < height; ++line)
    std::copy_n(picture.data.begin() + static_cast<std::ptrdiff_t>(At(picture, x, y + line)), row,
                window.data.begin() + static_cast<std::ptrdiff_t>(At(window, 0, line)));
  auto scaled = ScalePicture(window, size);
  if (scaled.ok()) return std::move(*scaled);
  graph_.Wrong(id, "", "custom_validation_failed", "Custom validation failed for node",
               scaled.message());
  return std::nullopt;
}

std::optional<Pixels> ComfyPictures::Scale(const std::string& id) {
  const Pixels* picture = Find(graph_.Link(id, "image").node);
  if (picture == nullptr) {
    graph_.Wrong(id, "image", "not_offered", "What the model drew can only be saved", "image");
    return std::nullopt;
  }
  Size size{static_cast<int>(graph_.Integer(id, "width")),
            static_cast<int>(graph_.Integer(id, "height"))};
  if (size.width == 0 && size.height == 0) return *picture;
  const auto fit = [](double a, int b, int c) {
    return std::max(1, static_cast<int>(std::nearbyint(std::min(a * b / c, 65535.0))));
  };
  if (size.width == 0) size.width = fit(picture->width, size.height, picture->height);
  if (size.height == 0) size.height = fit(picture->height, size.width, picture->width);
  return Resized(id, *picture, size, graph_.Text(id, "crop") == "center");
}

std::optional<Pixels> ComfyPictures::ScaleForKontext(const std::string& id) {
  const Pixels* picture = Find(graph_.Link(id, "image").node);
  if (picture == nullptr) {
    graph_.Wrong(id, "image", "not_offered", "What the model drew can only be saved", "image");
    return std::nullopt;
  }
  const double aspect = double{1} * picture->width / picture->height;
  Size best{picture->width, picture->height};
  double least = HUGE_VAL;
  for (const Size& size : preferred_) {
    const double off = std::abs(aspect - double{1} * size.width / size.height);
    if (off < least) best = size;
    least = std::min(least, off);
  }
  return Resized(id, *picture, best, true);
}

// image2 beside image1; without match_image_size the smaller one is centred on black.
std::optional<Pixels> ComfyPictures::Stitch(const std::string& id) {
  const Pixels* one = Find(graph_.Link(id, "image1").node);
  const bool alone = !graph_.Has(id, "image2");
  const Pixels* two = alone ? one : Find(graph_.Link(id, "image2").node);
  if (one == nullptr || two == nullptr) {
    graph_.Wrong(id, "image1", "not_offered", "What the model drew can only be saved", "image1");
    return std::nullopt;
  }
  if (alone) return *one;
  const std::string direction = graph_.Text(id, "direction");
  const bool across = direction == "right" || direction == "left";
  std::optional<Pixels> matched;
  if (graph_.Flag(id, "match_image_size")) {
    const double aspect = double{1} * two->width / two->height;
    const auto side = [](double v) { return static_cast<int>(std::clamp(v, 1.0, 65535.0)); };
    const Size size = across ? Size{side(one->height * aspect), one->height}
                             : Size{one->width, side(one->width / aspect)};
    matched = Resized(id, *two, size, false);
    if (!matched) return std::nullopt;
    two = &*matched;
  }
  if (direction == "left" || direction == "up") std::swap(one, two);
  int gap = static_cast<int>(graph_.Integer(id, "spacing_width"));
  gap += gap % 2;
  const int width = across ? one->width + gap + two->width : std::max(one->width, two->width);
  const int height = across ? std::max(one->height, two->height) : one->height + gap + two->height;
  if (!Afford(id, width, height)) return std::nullopt;
  Pixels out = Filled(width, height, {});
  Put(*one, out, across ? 0 : (width - one->width) / 2, across ? (height - one->height) / 2 : 0);
  if (gap > 0)
    Put(Filled(across ? gap : width, across ? height : gap,
               Colour(graph_.Text(id, "spacing_color"))),
        out, across ? one->width : 0, across ? 0 : one->height);
  Put(*two, out, across ? one->width + gap : (width - two->width) / 2,
      across ? (height - two->height) / 2 : one->height + gap);
  return out;
}

// LoadImage's MASK is 1 where the file is transparent; LoadImageMask's a channel, alpha turned
// round.
std::optional<Pixels> ComfyPictures::MaskOf(const ComfyLink& link) {
  const std::string channel =
      graph_.ClassOf(link.node) == "LoadImageMask" ? graph_.Text(link.node, "channel") : "alpha";
  auto p = Load(link.node, true);
  if (!p) return std::nullopt;
  const size_t step = static_cast<size_t>(p->channels);
  const size_t c = channel == "red" ? 0 : channel == "green" ? 1 : channel == "blue" ? 2 : 3;
  Pixels mask{p->width, p->height, 3, {}};
  mask.data.reserve(p->data.size() / step * 3);
  for (size_t i = 0; i + step <= p->data.size(); i += step) {
    const int value = c < 3 ? p->data[i + c] : step == 4 ? 255 - p->data[i + 3] : 0;
    mask.data.insert(mask.data.end(), 3, static_cast<uint8_t>(value));
  }
  return mask;
}

}  // namespace kontext::serve
