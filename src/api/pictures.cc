// kontext.h's pictures over io/.
#include "base/guard.h"
#include "io/atomic_file.h"
#include "io/picture.h"
#include "io/resize.h"
#include "kontext/kontext.h"

namespace kontext {

Result<LoadedPicture> LoadPicture(const std::string& path, bool keep_alpha) {
  KX_ASSIGN_OR_RETURN(DecodedPicture d, ReadPicture(path, keep_alpha));
  return LoadedPicture{std::move(d.pixels), std::move(d.notes), std::move(d.recipe)};
}

Status SavePicture(const std::string& path, const Edited& edited) {
  KX_ASSIGN_OR_RETURN(const PictureFormat format, FormatOfPath(path));
  KX_ASSIGN_OR_RETURN(const std::string bytes,
                      EncodePicture(edited.picture, format, edited.recipe));
  return WriteFileAtomically(path, bytes);
}

Result<LoadedPicture> DecodePictureBytes(std::string_view bytes, const std::string& what,
                                         bool keep_alpha, int64_t max_pixels) {
  PictureLimits limits;
  if (max_pixels > 0) limits.max_pixels = max_pixels;
  return Guard([&]() -> Result<LoadedPicture> {
    KX_ASSIGN_OR_RETURN(DecodedPicture d, DecodePicture(bytes, what, keep_alpha, limits));
    return LoadedPicture{std::move(d.pixels), std::move(d.notes), std::move(d.recipe)};
  });
}

Result<std::string> EncodePictureBytes(const Edited& edited, const std::string& extension) {
  return Guard([&]() -> Result<std::string> {
    KX_ASSIGN_OR_RETURN(const PictureFormat format, FormatOfPath("picture" + extension));
    return EncodePicture(edited.picture, format, edited.recipe);
  });
}

Result<Pixels> ScalePicture(const Pixels& picture, Size size) {
  return Guard([&] { return ResizeLanczos(picture, size.width, size.height); });
}

}  // namespace kontext
