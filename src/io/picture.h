// Pictures from and to files: PNG, JPEG, WebP -> 8-bit sRGB, and back with the recipe inside.
#ifndef KONTEXT_IO_PICTURE_H_
#define KONTEXT_IO_PICTURE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kontext/request.h"  // Pixels

namespace kontext {

struct DecodedPicture {
  Pixels pixels;
  std::vector<std::string>
      notes;           // what was applied, for the user to read once: "turned by EXIF ..."
  std::string recipe;  // our recipe JSON, if the file carries one; else empty
};

struct PictureLimits {
  int64_t max_file_bytes = int64_t{256} << 20;
  int64_t max_pixels = int64_t{1} << 28;  // 268 megapixels
  int max_side = 65535;
};

// Decodes by content, never by file name. EXIF orientation is applied, ICC profiles converted to
// sRGB, CMYK, palette, grey and 16 bit turned into 8-bit RGB. Alpha is laid over white unless
// `keep_alpha`. kBadInput names `what` (the path) and the limit for anything that is no sound
// picture.
Result<DecodedPicture> DecodePicture(std::string_view bytes, const std::string& what,
                                     bool keep_alpha, const PictureLimits& limits = {});
Result<DecodedPicture> ReadPicture(const std::string& path, bool keep_alpha,
                                   const PictureLimits& limits = {});

enum class PictureFormat { kPng, kJpeg, kWebp };
// By extension (.png .jpg .jpeg .webp, any case); kUsage names the extensions otherwise.
Result<PictureFormat> FormatOfPath(const std::string& path);

// PNG and WebP lossless, JPEG at quality 95 with 4:4:4 chroma. `recipe` (may be empty) is stored as
// PNG iTXt "kontext", and as EXIF UserComment + Software tag in JPEG and WebP; an XMP packet
// says in every file that a model made the picture.
Result<std::string> EncodePicture(const Pixels& pixels, PictureFormat format,
                                  const std::string& recipe);

}  // namespace kontext

#endif  // KONTEXT_IO_PICTURE_H_
