#include "io/picture.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <new>
#include <utility>

#include "io/colour.h"
#include "io/exif.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/picture_codecs.h"

namespace kontext {
namespace {

using namespace std::string_view_literals;

// A name for what is no PNG, JPEG or WebP, from its first bytes; empty if they say nothing.
std::string_view ForeignFormat(std::string_view bytes) {
  if (bytes.starts_with("GIF8")) return "a GIF";
  if (bytes.starts_with("BM")) return "a BMP";
  if (bytes.starts_with("II*"sv) || bytes.starts_with("MM\0*"sv))
    return "a TIFF or camera raw file";
  if (bytes.substr(0, 12).ends_with("ftypavif")) return "an AVIF";
  if (bytes.size() > 12 && bytes.substr(4, 4) == "ftyp") return "a HEIC picture or a video";
  if (bytes.starts_with("%PDF")) return "a PDF";
  if (bytes.starts_with("<svg") || bytes.starts_with("<?xml")) return "an SVG or other XML";
  return {};
}

Result<RawPicture> DecodeAny(std::string_view bytes, const std::string& what,
                             const PictureLimits& limits) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return DecodePng(bytes, what, limits);
  if (bytes.starts_with("\xFF\xD8\xFF")) return DecodeJpeg(bytes, what, limits);
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") {
    return DecodeWebp(bytes, what, limits);
  }
  if (bytes.empty()) return BadInput("{}: is empty; expected a PNG, JPEG or WebP", what);
  const std::string_view format = ForeignFormat(bytes);
  return BadInput("{}: expected a PNG, JPEG or WebP, got {}", what,
                  format.empty() ? "something else" : format);
}

// EXIF 2.3, 4.6.4 A, Orientation: what to do so that row 0 is the top and column 0 the left.
Pixels Turn(const Pixels& in, int orientation) {
  const bool transposed = orientation >= 5;
  const bool from_right =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Pixels out;
  out.width = transposed ? in.height : in.width;
  out.height = transposed ? in.width : in.height;
  out.channels = in.channels;
  out.data.resize(in.data.size());
  const auto channels = static_cast<size_t>(in.channels);
#pragma omp parallel for schedule(static)
  for (int y = 0; y < out.height; ++y) {
    uint8_t* to =
        out.data.data() + static_cast<size_t>(y) * static_cast<size_t>(out.width) * channels;
    for (int x = 0; x < out.width; ++x, to += channels) {
      int from_x = transposed ? y : x;
      int from_y = transposed ? x : y;
      if (from_right) from_x = in.width - 1 - from_x;
      if (from_bottom) from_y = in.height - 1 - from_y;
      const size_t from =
          static_cast<size_t>(from_y) * static_cast<size_t>(in.width) + static_cast<size_t>(from_x);
      std::copy_n(in.data.data() + from * channels, channels, to);
    }
  }
  return out;
}

// Alpha over white: round((c a + 255 (255 - a)) / 255). True if any pixel let something through.
bool LayOverWhite(Pixels& p) {
  bool through = false;
  size_t to = 0;
  for (size_t from = 0; from < p.data.size(); from += 4) {
    const int a = p.data[from + 3];
    through = through || a != 255;
    for (size_t c = 0; c < 3; ++c) {
      const int sum = p.data[from + c] * a + 255 * (255 - a);
      p.data[to++] = static_cast<uint8_t>((2 * sum + 255) / 510);
    }
  }
  p.data.resize(to);
  p.channels = 3;
  return through;
}

Result<DecodedPicture> Decode(std::string_view bytes, const std::string& what, bool keep_alpha,
                              const PictureLimits& limits) {
  const auto size = static_cast<int64_t>(bytes.size());
  if (size > limits.max_file_bytes) {
    return BadInput("{}: the file has {} bytes, the limit is {}", what, size,
                    limits.max_file_bytes);
  }
  KX_ASSIGN_OR_RETURN(RawPicture raw, DecodeAny(bytes, what, limits));
  const ExifFacts exif = ReadExif(raw.exif);
  DecodedPicture out;
  out.recipe = raw.recipe.empty() ? exif.recipe : raw.recipe;
  KX_ASSIGN_OR_RETURN(out.pixels, ToSrgb8(raw));
  out.notes = std::move(raw.notes);
  if (exif.orientation != 1) {
    out.pixels = Turn(out.pixels, exif.orientation);
    out.notes.push_back(fmt::format("turned by EXIF orientation {}", exif.orientation));
  }
  if (out.pixels.channels == 4 && !keep_alpha && LayOverWhite(out.pixels)) {
    out.notes.emplace_back("transparent parts laid over white");
  }
  return out;
}

Status CheckPixels(const Pixels& p) {
  const bool sizes = p.width >= 1 && p.height >= 1 && (p.channels == 3 || p.channels == 4);
  KX_ENSURE(sizes);
  KX_ENSURE(p.data.size() == static_cast<size_t>(p.width) * static_cast<size_t>(p.height) *
                                 static_cast<size_t>(p.channels));
  return {};
}

Result<std::string> Encode(const Pixels& pixels, PictureFormat format, const std::string& recipe) {
  KX_RETURN_IF_ERROR(CheckPixels(pixels));
  // Texts end at a NUL in all three formats; a recipe is JSON, which never needs one.
  if (recipe.find('\0') != std::string::npos) return Internal("a recipe holds a NUL byte");
  if (format == PictureFormat::kPng) return EncodePng(pixels, recipe);
  KX_ASSIGN_OR_RETURN(const std::string exif, MakeExif(recipe));
  return format == PictureFormat::kJpeg ? EncodeJpeg(pixels, exif) : EncodeWebp(pixels, exif);
}

}  // namespace

Status CheckPictureSize(int64_t width, int64_t height, const PictureLimits& limits,
                        const std::string& what) {
  if (width < 1 || height < 1) return BadInput("{}: is {}x{} pixels", what, width, height);
  if (width > limits.max_side || height > limits.max_side) {
    return BadInput("{}: is {}x{} pixels, the limit is {} a side", what, width, height,
                    limits.max_side);
  }
  if (width * height > limits.max_pixels) {
    return BadInput("{}: is {}x{} = {} pixels, the limit is {}", what, width, height,
                    width * height, limits.max_pixels);
  }
  return {};
}

Result<DecodedPicture> DecodePicture(std::string_view bytes, const std::string& what,
                                     bool keep_alpha, const PictureLimits& limits) {
  try {
    return Decode(bytes, what, keep_alpha, limits);
  } catch (const std::bad_alloc&) {
    return NoSpace("{}: not enough memory to decode it", what);
  }
}

Result<DecodedPicture> ReadPicture(const std::string& path, bool keep_alpha,
                                   const PictureLimits& limits) {
  KX_ASSIGN_OR_RETURN(const std::string bytes, ReadTextFile(path, limits.max_file_bytes));
  return DecodePicture(bytes, path, keep_alpha, limits);
}

Result<PictureFormat> FormatOfPath(const std::string& path) {
  const size_t dot = path.rfind('.');
  std::string ending = dot == std::string::npos ? "" : path.substr(dot);
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (ending == ".png") return PictureFormat::kPng;
  if (ending == ".jpg" || ending == ".jpeg") return PictureFormat::kJpeg;
  if (ending == ".webp") return PictureFormat::kWebp;
  return Usage("{}: expected a name ending in .png, .jpg, .jpeg or .webp", path);
}

Result<std::string> EncodePicture(const Pixels& pixels, PictureFormat format,
                                  const std::string& recipe) {
  try {
    return Encode(pixels, format, recipe);
  } catch (const std::bad_alloc&) {
    return NoSpace("not enough memory to encode a {}x{} picture", pixels.width, pixels.height);
  }
}

}  // namespace kontext
