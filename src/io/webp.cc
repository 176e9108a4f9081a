// WebP through libwebp; colour profile and EXIF through its demuxer and muxer.
#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <cstring>
#include <memory>

#include "io/picture_codecs.h"

namespace kontext {
namespace {

struct Deleter {
  void operator()(WebPDemuxer* d) const { WebPDemuxDelete(d); }
  void operator()(WebPMux* m) const { WebPMuxDelete(m); }
};

// The first chunk of that name, or nothing.
std::string Chunk(const WebPDemuxer* demuxer, const char* name) {
  WebPChunkIterator it;
  std::string data;
  if (WebPDemuxGetChunk(demuxer, name, 1, &it) != 0) {
    data.assign(reinterpret_cast<const char*>(it.chunk.bytes), it.chunk.size);
    WebPDemuxReleaseChunkIterator(&it);
  }
  return data;
}

// One frame onto its place in the canvas, which is clear (all zero) elsewhere.
bool DecodeFrame(const WebPIterator& frame, RawPicture& raw) {
  const int channels = raw.channels();
  const int stride = raw.width * channels;
  const size_t start = static_cast<size_t>(frame.y_offset) * static_cast<size_t>(stride) +
                       static_cast<size_t>(frame.x_offset * channels);
  uint8_t* out = raw.data.data() + start;
  const size_t room = raw.data.size() - start;
  const auto decode = raw.alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  return decode(frame.fragment.bytes, frame.fragment.size, out, room, stride) != nullptr;
}

}  // namespace

Result<RawPicture> DecodeWebp(std::string_view bytes, const std::string& what,
                              const PictureLimits& limits) {
  const WebPData data{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPDemuxer, Deleter> demuxer(WebPDemux(&data));
  if (demuxer == nullptr) {
    return BadInput("{}: is no sound WebP: it is cut off or its chunks are broken", what);
  }
  RawPicture raw;
  const uint32_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const uint32_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  KX_RETURN_IF_ERROR(CheckPictureSize(width, height, limits, what));
  raw.width = static_cast<int>(width);
  raw.height = static_cast<int>(height);

  WebPIterator frame;
  if (WebPDemuxGetFrame(demuxer.get(), 1, &frame) == 0) {
    return BadInput("{}: is no sound WebP: it holds no picture", what);
  }
  const std::unique_ptr<WebPIterator, decltype(&WebPDemuxReleaseIterator)> release(
      &frame, WebPDemuxReleaseIterator);
  const bool whole = frame.width == raw.width && frame.height == raw.height;
  if (!whole &&
      (frame.x_offset < 0 || frame.y_offset < 0 || frame.width > raw.width - frame.x_offset ||
       frame.height > raw.height - frame.y_offset)) {
    return BadInput("{}: is no sound WebP: its first frame lies outside the picture", what);
  }
  if (frame.num_frames > 1) {
    raw.notes.push_back(fmt::format("the first of {} frames taken", frame.num_frames));
  }
  raw.alpha = frame.has_alpha != 0 || !whole;
  raw.data.resize(static_cast<size_t>(raw.width) * static_cast<size_t>(raw.height) *
                  static_cast<size_t>(raw.channels()));
  if (!DecodeFrame(frame, raw)) {
    return BadInput("{}: is no sound WebP: its pixels cannot be decoded", what);
  }
  raw.icc = Chunk(demuxer.get(), "ICCP");
  raw.exif = Chunk(demuxer.get(), "EXIF");
  // Some writers keep JPEG's prefix.
  if (raw.exif.starts_with(std::string_view("Exif\0\0", 6))) raw.exif.erase(0, 6);
  return raw;
}

namespace {

// The bitstream alone, lossless.
Result<std::string> EncodeBitstream(const Pixels& pixels) {
  WebPConfig config;
  WebPPicture picture;
  KX_ENSURE(WebPConfigInit(&config) != 0 && WebPPictureInit(&picture) != 0);
  const std::unique_ptr<WebPPicture, decltype(&WebPPictureFree)> free_picture(&picture,
                                                                              WebPPictureFree);
  WebPMemoryWriter memory;
  WebPMemoryWriterInit(&memory);
  const std::unique_ptr<WebPMemoryWriter, decltype(&WebPMemoryWriterClear)> clear_memory(
      &memory, WebPMemoryWriterClear);
  constexpr int kEffort = 4;  // of 0 (fast) to 9 (small)
  KX_ENSURE(WebPConfigLosslessPreset(&config, kEffort) != 0);
  config.exact = 1;  // colours under full transparency, too
  picture.use_argb = 1;
  picture.width = pixels.width;
  picture.height = pixels.height;
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &memory;
  const auto import = pixels.channels == 4 ? WebPPictureImportRGBA : WebPPictureImportRGB;
  if (import(&picture, pixels.data.data(), pixels.width * pixels.channels) == 0 ||
      WebPEncode(&config, &picture) == 0) {
    if (picture.error_code == VP8_ENC_ERROR_OUT_OF_MEMORY ||
        picture.error_code == VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY) {
      return NoSpace("not enough memory to write a {}x{} WebP", pixels.width, pixels.height);
    }
    return Internal("the WebP could not be written: libwebp error {}",
                    static_cast<int>(picture.error_code));
  }
  return std::string(reinterpret_cast<const char*>(memory.mem), memory.size);
}

}  // namespace

Result<std::string> EncodeWebp(const Pixels& pixels, const std::string& exif) {
  if (pixels.width > WEBP_MAX_DIMENSION || pixels.height > WEBP_MAX_DIMENSION) {
    return Usage("a WebP has at most {} pixels a side, this picture is {}x{}; name a .png file",
                 WEBP_MAX_DIMENSION, pixels.width, pixels.height);
  }
  KX_ASSIGN_OR_RETURN(const std::string bitstream, EncodeBitstream(pixels));
  if (exif.empty()) return bitstream;
  const WebPData image{reinterpret_cast<const uint8_t*>(bitstream.data()), bitstream.size()};
  // WebP's EXIF chunk is the TIFF block itself, without JPEG's "Exif\0\0".
  const WebPData chunk{reinterpret_cast<const uint8_t*>(exif.data()) + 6, exif.size() - 6};
  const WebPData xmp{reinterpret_cast<const uint8_t*>(kMadeByAModel.data()), kMadeByAModel.size()};
  const std::unique_ptr<WebPMux, Deleter> mux(WebPMuxCreate(&image, 0));
  WebPData file;
  WebPDataInit(&file);
  KX_ENSURE(mux != nullptr && WebPMuxSetChunk(mux.get(), "EXIF", &chunk, 0) == WEBP_MUX_OK);
  KX_ENSURE(WebPMuxSetChunk(mux.get(), "XMP ", &xmp, 0) == WEBP_MUX_OK);
  KX_ENSURE(WebPMuxAssemble(mux.get(), &file) == WEBP_MUX_OK);
  const std::unique_ptr<WebPData, decltype(&WebPDataClear)> clear_file(&file, WebPDataClear);
  return std::string(reinterpret_cast<const char*>(file.bytes), file.size);
}

}  // namespace kontext
