// ComfyUI's /upload/image, /upload/mask and /view: pictures in and out.
#include <algorithm>

#include "base/status.h"
#include "serve/comfy.h"

namespace kontext::serve {
namespace {

// The transparency of `drawn`, on the colours of the picture it was drawn for.
Result<std::string> Masked(Exchange& x, const PictureReader& reader, const Json& original,
                           const std::string& drawn) {
  const ComfyName name{ComfyText(original, "filename"), ComfyText(original, "subfolder"),
                       original.contains("type") ? ComfyText(original, "type") : "output"};
  KX_ASSIGN_OR_RETURN(const std::string bytes, ComfyFiles(x.queue, x.owner).Read(name));
  KX_ASSIGN_OR_RETURN(LoadedPicture picture, reader.Read(bytes, "original_ref", true));
  KX_ASSIGN_OR_RETURN(const LoadedPicture mask, reader.Read(drawn, "image", true));
  const Pixels& from = picture.pixels;
  const Pixels& alpha = mask.pixels;
  if (alpha.width != from.width || alpha.height != from.height)
    return BadInput("the mask is {}x{}, its picture {}x{}", alpha.width, alpha.height, from.width,
                    from.height);
  Pixels out{from.width, from.height, 4, {}};
  const auto count = static_cast<size_t>(from.width) * static_cast<size_t>(from.height);
  const auto step = static_cast<size_t>(from.channels);
  out.data.resize(count * 4);
  for (size_t i = 0; i < count; ++i) {
    for (size_t c = 0; c < 3; ++c) out.data[i * 4 + c] = from.data[i * step + c];
    out.data[i * 4 + 3] = alpha.channels == 4 ? alpha.data[i * 4 + 3] : 255;
  }
  return EncodePictureBytes({std::move(out), 0, "", 0}, ".png");
}

}  // namespace

void ComfyUpload(Exchange& x, bool mask) {
  std::vector<Part> parts;
  if (!x.IsMultipart()) return x.Fail(400, "bad_multipart", "send multipart/form-data");
  if (!x.ReadParts(parts)) return;
  ComfyName name;
  std::string bytes, original;
  bool overwrite = false;
  for (const Part& part : parts) {
    if (part.name == "image") {
      bytes = part.bytes;
      name.file = part.file;
    } else if (part.name == "subfolder") {
      name.subfolder = part.bytes;
    } else if (part.name == "type" && !part.bytes.empty()) {
      name.type = part.bytes;
    } else if (part.name == "overwrite") {
      overwrite = part.bytes == "true" || part.bytes == "1";
    } else if (part.name == "original_ref") {
      original = part.bytes;
    }
  }
  const auto refuse = [&](const Status& why) { x.Fail(400, "bad_upload", why.message()); };
  const PictureReader reader;
  const Status picture = reader.Read(bytes, "image").status();
  if (!picture.ok()) return refuse(picture);
  if (mask) {
    const auto about = x.ParseBody(original, "original_ref");
    if (!about.ok() || !about->is_object())
      return x.Fail(400, "bad_upload", "original_ref must be an object with filename");
    auto masked = Masked(x, reader, *about, bytes);
    if (!masked.ok()) return refuse(masked.status());
    bytes = std::move(*masked);
  }
  const auto kept = ComfyFiles(x.queue, x.owner).Write(name, bytes, overwrite);
  if (!kept.ok()) return refuse(kept.status());
  x.Send(200, {{"name", kept->file}, {"subfolder", kept->subfolder}, {"type", kept->type}});
}

namespace {

// As ComfyUI's ?preview=webp;90 and ?channel=rgb or a.
Result<std::string> Changed(const std::string& bytes, const std::string& preview,
                            const std::string& channel) {
  if (preview.empty() && channel != "rgb" && channel != "a") return bytes;
  const PictureReader reader;
  KX_ASSIGN_OR_RETURN(LoadedPicture picture, reader.Read(bytes, "the picture", true));
  const Pixels& from = picture.pixels;
  Pixels out = WithoutAlpha(from);
  if (channel == "a" && preview.empty()) {
    const auto step = static_cast<size_t>(from.channels);
    const auto count = from.data.size() / step;
    out = {from.width, from.height, 4, std::vector<uint8_t>(count * 4)};
    for (size_t i = 0; i < count; ++i) out.data[i * 4 + 3] = step == 4 ? from.data[i * 4 + 3] : 255;
  }
  const std::string format = preview.substr(0, preview.find(';'));
  return EncodePictureBytes({std::move(out), 0, picture.recipe, 0}, format == "webp" ? ".webp"
                                                                    : format.empty() ? ".png"
                                                                                     : ".jpg");
}

}  // namespace

void ComfyView(Exchange& x) {
  const std::string type = x.Query("type");
  ComfyName name = ComfyFiles::Parse(x.Query("filename"), type.empty() ? "output" : type);
  if (name.subfolder.empty()) name.subfolder = x.Query("subfolder");
  if (!ComfyFiles::IsSafe(name)) return x.Fail(400, "bad_name", "the name leads out of its folder");
  const auto bytes = ComfyFiles(x.queue, x.owner).Read(name);
  if (!bytes.ok()) return x.Fail(404, "not_found", "there is no such file");
  const auto shown = Changed(*bytes, x.Query("preview"), x.Query("channel"));
  if (!shown.ok()) return x.Fail(400, "bad_picture", shown.message());
  std::replace(name.file.begin(), name.file.end(), '"', '_');
  x.response.set("Content-Disposition", "filename=\"" + name.file + "\"");
  x.SendBytes(PictureType(*shown), *shown);
}

}  // namespace kontext::serve
