// EXIF as far as we use it: which way up, and our recipe.
#ifndef KONTEXT_IO_EXIF_H_
#define KONTEXT_IO_EXIF_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace kontext {

struct ExifFacts {
  int orientation = 1;  // 1 to 8, as the standard numbers them
  std::string recipe;   // the UserComment of a file whose Software is ours
};

// `tiff`: an EXIF block without "Exif\0\0". What is broken counts as absent.
ExifFacts ReadExif(std::string_view tiff);

// A block that begins with "Exif\0\0" and holds Software and the recipe. A JPEG segment, and
// libexif too, end at 64 KB: kUsage for a longer recipe.
Result<std::string> MakeExif(const std::string& recipe);

}  // namespace kontext

#endif  // KONTEXT_IO_EXIF_H_
