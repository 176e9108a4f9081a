// kontext.h's pictures over io/.
#include "api/guard.h"
#include "io/picture.h"
#include "io/resize.h"
#include "kontext/kontext.h"

namespace kontext {

Result<LoadedPicture> LoadPicture(const std::string& path, bool keep_alpha) {
  KX_ASSIGN_OR_RETURN(DecodedPicture d, ReadPicture(path, keep_alpha));
  return LoadedPicture{std::move(d.pixels), std::move(d.notes), std::move(d.recipe)};
}

Result<LoadedPicture> ReadPictureBytes(std::string_view bytes, const std::string& name,
                                       bool keep_alpha) {
  KX_ASSIGN_OR_RETURN(DecodedPicture d, DecodePicture(bytes, name, keep_alpha));
  return LoadedPicture{std::move(d.pixels), std::move(d.notes), std::move(d.recipe)};
}

Result<std::string> PngBytes(const Edited& edited) {
  return EncodePicture(edited.picture, PictureFormat::kPng, edited.recipe);
}

Status SavePicture(const std::string& path, const Edited& edited) {
  KX_ASSIGN_OR_RETURN(const PictureFormat format, FormatOfPath(path));
  KX_ASSIGN_OR_RETURN(const std::string bytes,
                      EncodePicture(edited.picture, format, edited.recipe));
  return WriteFileAtomically(path, bytes);
}

Result<LoadedPicture> DecodePictureBytes(const std::string& bytes, const std::string& what,
                                         bool keep_alpha) {
  return Guard([&]() -> Result<LoadedPicture> {
    KX_ASSIGN_OR_RETURN(DecodedPicture d, DecodePicture(bytes, what, keep_alpha));
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
