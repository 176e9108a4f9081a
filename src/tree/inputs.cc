#include "tree/inputs.h"

#include "base/status.h"

namespace kontext {
namespace {

Result<std::string> InputPng(const Database& db, const std::string& sha256) {
  Statement s = db.Prepare("SELECT png FROM inputs WHERE pixels_sha256 = ?");
  KX_ASSIGN_OR_RETURN(const bool row, s.Bind(1, std::string_view(sha256)).Step());
  if (row) return s.Bytes(0);
  return BadInput("{}: the input picture {} is missing", db.name(), sha256.substr(0, 16));
}

Status Keep(const Database& db, const std::string& sha256, const Pixels& picture) {
  KX_ASSIGN_OR_RETURN(const std::string png, EncodePictureBytes({picture, 0, "", 0}, ".png"));
  Statement s = db.Prepare("INSERT OR IGNORE INTO inputs VALUES(?, ?)");
  return s.Bind(1, std::string_view(sha256)).BindBlob(2, png).Run();
}

}  // namespace

Pixels AsPicture(const Mask& mask) {
  Pixels p{mask.width, mask.height, 3, {}};
  p.data.reserve(3 * mask.data.size());
  for (const uint8_t v : mask.data) p.data.insert(p.data.end(), 3, v);
  return p;
}

Mask AsMask(const Pixels& p) {
  Mask mask{p.width, p.height, {}};
  for (size_t i = 0; i < p.data.size(); i += static_cast<size_t>(p.channels))
    mask.data.push_back(p.data[i]);
  return mask;
}

Result<Pixels> DecodeUnchanged(const Database& db, const std::string& png, const std::string& what,
                               const std::string& sha256) {
  KX_ASSIGN_OR_RETURN(LoadedPicture loaded,
                      DecodePictureBytes(png, fmt::format("{}: {}", db.name(), what), true));
  KX_ASSIGN_OR_RETURN(const std::string sum, PixelsSha256(loaded.pixels));
  if (sum != sha256) {
    return BadInput("{}: {} has the sum {}, expected {}: it was changed", db.name(), what,
                    sum.substr(0, 16), sha256.substr(0, 16));
  }
  return std::move(loaded.pixels);
}

Result<Pixels> LoadInput(const Database& db, const std::string& sha256) {
  KX_ASSIGN_OR_RETURN(const std::string png, InputPng(db, sha256));
  return DecodeUnchanged(db, png, "the input picture " + sha256.substr(0, 16), sha256);
}

Result<Mask> LoadMask(const Database& db, const std::string& sha256) {
  KX_ASSIGN_OR_RETURN(const std::string png, InputPng(db, sha256));
  KX_ASSIGN_OR_RETURN(const LoadedPicture loaded,
                      DecodePictureBytes(png, fmt::format("{}: a mask", db.name())));
  Mask mask = AsMask(loaded.pixels);
  KX_ASSIGN_OR_RETURN(const std::string sum, MaskSha256(mask));
  if (sum == sha256) return mask;
  return BadInput("{}: the mask {} was changed", db.name(), sha256.substr(0, 16));
}

Status KeepInputs(const Database& db, const EditRequest& request) {
  for (size_t i = 1; i < request.images.size(); ++i) {
    KX_ASSIGN_OR_RETURN(const std::string sum, PixelsSha256(request.images[i]));
    KX_RETURN_IF_ERROR(Keep(db, sum, request.images[i]));
  }
  if (!request.mask) return Status();
  KX_ASSIGN_OR_RETURN(const std::string sum, MaskSha256(*request.mask));
  return Keep(db, sum, AsPicture(*request.mask));
}

}  // namespace kontext
