// JPEG through libjpeg(-turbo). libjpeg leaves by longjmp, so every function that calls setjmp
// holds no object with a destructor: those live in JpegReader, JpegWriter and their callers.

// jpeglib.h needs <cstdio> before it, jerror.h needs jpeglib.h.
// clang-format off
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>
#include <cstdlib>
#include <cstring>

#include "io/json.h"
#include "io/picture_codecs.h"

namespace kontext {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1;
constexpr int kIccMarker = JPEG_APP0 + 2;
constexpr unsigned kWholeMarker = 0xFFFF;
constexpr std::string_view kExifHead("Exif\0\0", 6);
// A progressive file of a few bytes a scan can ask for any amount of work; real ones have about
// ten.
constexpr int kMaxScans = 200;

struct ErrorState {
  jpeg_error_mgr base;  // first, so that libjpeg's pointer is ours
  jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
};

void Leave(j_common_ptr codec) {
  auto* error = reinterpret_cast<ErrorState*>(codec->err);
  error->base.format_message(codec, error->text);
  std::longjmp(error->jump, 1);
}
void OnWarning(j_common_ptr codec, int level) {
  if (level >= 0) return;  // trace messages
  switch (codec->err->msg_code) {
    // Odd, but every pixel is there.
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_ICC:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
      return;
    // Data are lost (file cut off, bad codes): libjpeg would go on with grey or shifted blocks.
    default:
      Leave(codec);
  }
}
void PrintNothing(j_common_ptr) {}

jpeg_error_mgr* Silence(ErrorState& error) {
  jpeg_error_mgr* base = jpeg_std_error(&error.base);
  base->error_exit = Leave;
  base->emit_message = OnWarning;
  base->output_message = PrintNothing;
  return base;
}

void LimitScans(j_common_ptr codec) {
  auto* reader = reinterpret_cast<j_decompress_ptr>(codec);
  if (reader->input_scan_number > kMaxScans) {
    std::strncpy(reinterpret_cast<ErrorState*>(codec->err)->text, "it has too many scans",
                 JMSG_LENGTH_MAX - 1);
    std::longjmp(reinterpret_cast<ErrorState*>(codec->err)->jump, 1);
  }
}

struct JpegReader {
  JpegReader() : codec(), error(), progress() {
    codec.err = Silence(error);
    progress.progress_monitor = LimitScans;
  }
  ~JpegReader() {
    std::free(icc);
    jpeg_destroy_decompress(&codec);
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  jpeg_decompress_struct codec;
  ErrorState error;
  jpeg_progress_mgr progress;
  JOCTET* icc = nullptr;
  unsigned icc_bytes = 0;
};

// False: see reader.error.
bool ReadHeader(JpegReader& reader, std::string_view bytes) {
  if (setjmp(reader.error.jump) != 0) return false;
  j_decompress_ptr codec = &reader.codec;
  jpeg_create_decompress(codec);
  codec->progress = &reader.progress;
  jpeg_mem_src(codec, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_save_markers(codec, kExifMarker, kWholeMarker);
  jpeg_save_markers(codec, kIccMarker, kWholeMarker);
  jpeg_read_header(codec, TRUE);
  switch (codec->jpeg_color_space) {
    case JCS_GRAYSCALE:
      codec->out_color_space = JCS_GRAYSCALE;
      break;
    case JCS_CMYK:
    case JCS_YCCK:
      codec->out_color_space = JCS_CMYK;
      break;
    default:
      codec->out_color_space = JCS_RGB;
  }
  if (jpeg_read_icc_profile(codec, &reader.icc, &reader.icc_bytes) == FALSE) reader.icc = nullptr;
  return true;
}

// Grows `data` row by row: memory is touched only for rows that are really there.
bool ReadRows(JpegReader& reader, std::vector<uint8_t>& data) {
  if (setjmp(reader.error.jump) != 0) return false;
  j_decompress_ptr codec = &reader.codec;
  jpeg_start_decompress(codec);
  const size_t row_bytes =
      static_cast<size_t>(codec->output_width) * static_cast<size_t>(codec->output_components);
  data.reserve(row_bytes * codec->output_height);
  while (codec->output_scanline < codec->output_height) {
    data.resize(data.size() + row_bytes);
    JSAMPROW row = data.data() + data.size() - row_bytes;
    jpeg_read_scanlines(codec, &row, 1);
  }
  jpeg_finish_decompress(codec);
  return true;
}

std::string ExifOf(const jpeg_decompress_struct& codec) {
  for (jpeg_saved_marker_ptr m = codec.marker_list; m != nullptr; m = m->next) {
    const std::string_view data(reinterpret_cast<const char*>(m->data), m->data_length);
    if (m->marker == kExifMarker && data.starts_with(kExifHead)) {
      return std::string(data.substr(kExifHead.size()));
    }
  }
  return {};
}

}  // namespace

Result<RawPicture> DecodeJpeg(std::string_view bytes, const std::string& what,
                              const PictureLimits& limits) {
  JpegReader reader;
  const auto broken = [&] {
    return BadInput("{}: is no sound JPEG: {}", what, Quoted(reader.error.text));
  };
  if (!ReadHeader(reader, bytes)) return broken();
  RawPicture raw;
  KX_RETURN_IF_ERROR(
      CheckPictureSize(reader.codec.image_width, reader.codec.image_height, limits, what));
  raw.width = static_cast<int>(reader.codec.image_width);
  raw.height = static_cast<int>(reader.codec.image_height);
  switch (reader.codec.out_color_space) {
    case JCS_GRAYSCALE:
      raw.model = RawPicture::Model::kGrey;
      break;
    case JCS_CMYK:
      raw.model = RawPicture::Model::kCmyk;
      break;
    default:
      raw.model = RawPicture::Model::kRgb;
  }
  raw.exif = ExifOf(reader.codec);
  if (reader.icc != nullptr) {
    raw.icc.assign(reinterpret_cast<const char*>(reader.icc), reader.icc_bytes);
  }
  // Adobe's programs store the absence of ink, and mark their files (libjpeg.txt, "Special color
  // spaces"); files without the mark hold ink itself.
  const bool inverted = reader.codec.saw_Adobe_marker != FALSE;
  if (!ReadRows(reader, raw.data)) return broken();
  if (raw.model == RawPicture::Model::kCmyk && inverted) {
    for (uint8_t& v : raw.data) v = static_cast<uint8_t>(255 - v);
  }
  return raw;
}

namespace {

struct JpegWriter {
  JpegWriter() : codec(), error() { codec.err = Silence(error); }
  ~JpegWriter() {
    std::free(out);
    jpeg_destroy_compress(&codec);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  jpeg_compress_struct codec;
  ErrorState error;
  unsigned char* out = nullptr;
  unsigned long out_bytes = 0;
};

bool WriteAll(JpegWriter& writer, const Pixels& pixels, const std::string& exif,
              const std::string& xmp) {
  if (setjmp(writer.error.jump) != 0) return false;
  j_compress_ptr codec = &writer.codec;
  jpeg_create_compress(codec);
  jpeg_mem_dest(codec, &writer.out, &writer.out_bytes);
  codec->image_width = static_cast<JDIMENSION>(pixels.width);
  codec->image_height = static_cast<JDIMENSION>(pixels.height);
  codec->input_components = 3;
  codec->in_color_space = JCS_RGB;
  jpeg_set_defaults(codec);
  jpeg_set_quality(codec, 95, TRUE);
  codec->optimize_coding = TRUE;
  codec->comp_info[0].h_samp_factor = 1;  // luma no finer than chroma: 4:4:4
  codec->comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(codec, TRUE);
  if (!exif.empty()) {
    jpeg_write_marker(codec, kExifMarker, reinterpret_cast<const JOCTET*>(exif.data()),
                      static_cast<unsigned>(exif.size()));
    jpeg_write_marker(codec, kExifMarker, reinterpret_cast<const JOCTET*>(xmp.data()),
                      static_cast<unsigned>(xmp.size()));
  }
  const size_t row_bytes = static_cast<size_t>(pixels.width) * 3;
  while (codec->next_scanline < codec->image_height) {
    auto* row = const_cast<JSAMPLE*>(pixels.data.data() + codec->next_scanline * row_bytes);
    jpeg_write_scanlines(codec, &row, 1);
  }
  jpeg_finish_compress(codec);
  return true;
}

}  // namespace

Result<std::string> EncodeJpeg(const Pixels& pixels, const std::string& exif) {
  if (pixels.channels != 3) {
    return Usage("a JPEG cannot hold transparency; name a .png or .webp file");
  }
  if (pixels.width > JPEG_MAX_DIMENSION || pixels.height > JPEG_MAX_DIMENSION) {
    return Usage("a JPEG has at most {} pixels a side, this picture is {}x{}; name a .png file",
                 JPEG_MAX_DIMENSION, pixels.width, pixels.height);
  }
  // XMP specification, part 3, 1.1.3: EXIF's marker, another first word and its NUL.
  const std::string xmp =
      std::string("http://ns.adobe.com/xap/1.0/") + '\0' + std::string(kMadeByAModel);
  JpegWriter writer;
  if (!WriteAll(writer, pixels, exif, xmp)) {
    return Internal("the JPEG could not be written: {}", writer.error.text);
  }
  return std::string(reinterpret_cast<const char*>(writer.out), writer.out_bytes);
}

}  // namespace kontext
