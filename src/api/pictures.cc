// kontext.h's pictures over io/.
#include "io/picture.h"
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

}  // namespace kontext
