// PNG through libpng. libpng leaves by longjmp, so every function that calls setjmp holds no object
// with a destructor: those live in PngReader, PngWriter and their callers.
#include <png.h>

#include <algorithm>
#include <bit>
#include <csetjmp>
#include <cstring>
#include <new>

#include "io/json.h"
#include "io/picture_codecs.h"

namespace kontext {
namespace {

constexpr char kRecipeKey[] = "kontext";
// What text and profile chunks may take in memory: at most 64 of 4 MB, however well compressed.
constexpr png_alloc_size_t kMaxChunkBytes = 4 << 20;
constexpr png_uint_32 kMaxChunks = 64;

struct ErrorText {
  char text[160] = "";
  bool bad_profile = false;
};

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  auto* error = static_cast<ErrorText*>(png_get_error_ptr(png));
  std::strncpy(error->text, message, sizeof(error->text) - 1);
  png_longjmp(png, 1);
}
void OnWarning(png_structp png, png_const_charp message) {
  if (std::strncmp(message, "iCCP", 4) == 0) {
    static_cast<ErrorText*>(png_get_error_ptr(png))->bad_profile = true;
  }
}

struct PngReader {
  explicit PngReader(std::string_view bytes) : rest(bytes) {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &error, OnError, OnWarning);
    if (png != nullptr) info = png_create_info_struct(png);
  }
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  std::string_view rest;
  ErrorText error;
  png_structp png = nullptr;
  png_infop info = nullptr;
};

void ReadBytes(png_structp png, png_bytep out, size_t n) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (n > reader->rest.size()) png_error(png, "the file is cut off");
  std::memcpy(out, reader->rest.data(), n);
  reader->rest.remove_prefix(n);
}

// Everything before the pixels, and the conversions to whole samples. False: see reader.error.
bool ReadHeader(PngReader& reader, const PictureLimits& limits) {
  png_structp png = reader.png;
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  const auto side = static_cast<png_uint_32>(limits.max_side);
  png_set_user_limits(png, side, side);
  png_set_chunk_malloc_max(png, kMaxChunkBytes);
  png_set_chunk_cache_max(png, kMaxChunks);
  png_set_read_fn(png, &reader, ReadBytes);
  png_read_info(png, reader.info);
  png_set_expand(png);  // palette to RGB, fewer than 8 bits to 8, tRNS to alpha
  if (std::endian::native == std::endian::little) png_set_swap(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, reader.info);
  return true;
}

// Pixels, then the chunks behind them.
bool ReadRows(PngReader& reader, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_image(reader.png, rows);
  png_read_end(reader.png, reader.info);
  return true;
}

void ReadColour(const PngReader& reader, RawPicture& raw) {
  png_charp name = nullptr;
  int method = 0;
  png_bytep profile = nullptr;
  png_uint_32 bytes = 0;
  if (png_get_iCCP(reader.png, reader.info, &name, &method, &profile, &bytes) != 0) {
    raw.icc.assign(reinterpret_cast<const char*>(profile), bytes);
    return;
  }
  if (reader.error.bad_profile) {
    raw.notes.emplace_back("its colour profile is broken and was left out; taken as sRGB");
  }
  PngColour colour;
  if (png_get_valid(reader.png, reader.info, PNG_INFO_sRGB) != 0 ||
      png_get_gAMA(reader.png, reader.info, &colour.gamma) == 0) {
    return;
  }
  std::array<double, 8> xy{};
  if (png_get_cHRM(reader.png, reader.info, &xy[0], &xy[1], &xy[2], &xy[3], &xy[4], &xy[5], &xy[6],
                   &xy[7]) != 0) {
    colour.white_red_green_blue_xy = xy;
  }
  raw.colour = colour;
}

void ReadTexts(const PngReader& reader, RawPicture& raw) {
  png_textp texts = nullptr;
  const int n = png_get_text(reader.png, reader.info, &texts, nullptr);
  for (int i = 0; i < n; ++i) {
    const png_text& t = texts[i];
    const bool itxt = t.compression >= PNG_ITXT_COMPRESSION_NONE;
    if (itxt && std::strcmp(t.key, kRecipeKey) == 0) raw.recipe.assign(t.text, t.itxt_length);
  }
  png_bytep exif = nullptr;
  png_uint_32 bytes = 0;
  if (png_get_eXIf_1(reader.png, reader.info, &bytes, &exif) != 0) {
    raw.exif.assign(reinterpret_cast<const char*>(exif), bytes);
  }
}

uint32_t BigEndian32(std::string_view bytes, size_t at) {
  uint32_t n = 0;
  for (size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<uint8_t>(bytes[at + i]);
  return n;
}

// Width and height before libpng sees the file, so that the message can name our limit.
Status CheckHeader(std::string_view bytes, const std::string& what, const PictureLimits& limits) {
  if (bytes.size() < 33 || bytes.substr(12, 4) != "IHDR") {
    return BadInput("{}: is no sound PNG: its first chunk is no whole IHDR", what);
  }
  return CheckPictureSize(BigEndian32(bytes, 16), BigEndian32(bytes, 20), limits, what);
}

void DescribeSamples(const PngReader& reader, png_byte file_type, RawPicture& raw) {
  const png_byte type = png_get_color_type(reader.png, reader.info);
  raw.width = static_cast<int>(png_get_image_width(reader.png, reader.info));
  raw.height = static_cast<int>(png_get_image_height(reader.png, reader.info));
  raw.model =
      (type & PNG_COLOR_MASK_COLOR) != 0 ? RawPicture::Model::kRgb : RawPicture::Model::kGrey;
  raw.alpha = (type & PNG_COLOR_MASK_ALPHA) != 0;
  raw.bytes_per_sample = png_get_bit_depth(reader.png, reader.info) == 16 ? 2 : 1;
  if (file_type == PNG_COLOR_TYPE_PALETTE) raw.notes.emplace_back("palette expanded to RGB");
}

}  // namespace

Result<RawPicture> DecodePng(std::string_view bytes, const std::string& what,
                             const PictureLimits& limits) {
  KX_RETURN_IF_ERROR(CheckHeader(bytes, what, limits));
  PngReader reader(bytes);
  if (reader.info == nullptr) return NoSpace("{}: not enough memory to read it", what);
  const auto broken = [&] {
    return BadInput("{}: is no sound PNG: {}", what, Quoted(reader.error.text));
  };
  if (!ReadHeader(reader, limits)) return broken();
  RawPicture raw;
  constexpr size_t kColourTypeAt = 25;
  DescribeSamples(reader, static_cast<png_byte>(bytes[kColourTypeAt]), raw);
  const size_t row_bytes = png_get_rowbytes(reader.png, reader.info);
  KX_ENSURE(row_bytes == static_cast<size_t>(raw.width * raw.channels() * raw.bytes_per_sample));
  const size_t size = row_bytes * static_cast<size_t>(raw.height);
  // Deflate shrinks by 1032 at most and png_set_expand grows by 32 at most (1 bit to RGBA), so a
  // file this small cannot hold its pixels, and their memory need not be taken to find out.
  if (size / (1032 * 32) > bytes.size()) {
    return BadInput("{}: {} bytes are too few for {}x{} pixels; is it cut off?", what, bytes.size(),
                    raw.width, raw.height);
  }
  raw.data.resize(size);
  std::vector<png_bytep> rows(static_cast<size_t>(raw.height));
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = raw.data.data() + y * row_bytes;
  if (!ReadRows(reader, rows.data())) return broken();
  ReadColour(reader, raw);
  ReadTexts(reader, raw);
  return raw;
}

namespace {

struct PngWriter {
  PngWriter() {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &error, OnError, OnWarning);
    if (png != nullptr) info = png_create_info_struct(png);
  }
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  std::string out;
  ErrorText error;
  png_structp png = nullptr;
  png_infop info = nullptr;
};

void WriteBytes(png_structp png, png_bytep bytes, size_t n) {
  auto* writer = static_cast<PngWriter*>(png_get_io_ptr(png));
  bool stored = true;
  try {
    writer->out.append(reinterpret_cast<const char*>(bytes), n);
  } catch (const std::bad_alloc&) {  // must not pass through C
    stored = false;
  }
  if (!stored) png_error(png, "not enough memory");
}
void FlushNothing(png_structp) {}

bool WriteAll(PngWriter& writer, const Pixels& pixels, png_textp texts, int text_count) {
  png_structp png = writer.png;
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, &writer, WriteBytes, FlushNothing);
  png_set_IHDR(png, writer.info, static_cast<png_uint_32>(pixels.width),
               static_cast<png_uint_32>(pixels.height), 8,
               pixels.channels == 4 ? PNG_COLOR_TYPE_RGB_ALPHA : PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_sRGB(png, writer.info, PNG_sRGB_INTENT_PERCEPTUAL);
  png_set_text(png, writer.info, texts, text_count);
  png_write_info(png, writer.info);
  const size_t row_bytes = static_cast<size_t>(pixels.width) * static_cast<size_t>(pixels.channels);
  for (int y = 0; y < pixels.height; ++y) {
    png_write_row(png, pixels.data.data() + static_cast<size_t>(y) * row_bytes);
  }
  png_write_end(png, writer.info);
  return true;
}

}  // namespace

Result<std::string> EncodePng(const Pixels& pixels, const std::string& recipe) {
  // libpng takes neither const nor lengths for these, but changes nothing.
  std::string software_key = "Software", software = "kontext.cpp", key = kRecipeKey, text = recipe;
  // XMP specification, part 3, 1.1.5.
  std::string xmp_key = "XML:com.adobe.xmp", xmp(kMadeByAModel);
  png_text texts[3] = {};
  texts[0].compression = PNG_TEXT_COMPRESSION_NONE;
  texts[0].key = software_key.data();
  texts[0].text = software.data();
  texts[0].text_length = software.size();
  texts[1].compression = PNG_ITXT_COMPRESSION_NONE;
  texts[1].key = xmp_key.data();
  texts[1].text = xmp.data();
  texts[1].itxt_length = xmp.size();
  texts[2].compression = PNG_ITXT_COMPRESSION_NONE;
  texts[2].key = key.data();
  texts[2].text = text.data();
  texts[2].itxt_length = text.size();
  PngWriter writer;
  if (writer.info == nullptr) return NoSpace("not enough memory to write a PNG");
  if (!WriteAll(writer, pixels, texts, recipe.empty() ? 2 : 3)) {
    return Internal("the PNG could not be written: {}", writer.error.text);
  }
  return std::move(writer.out);
}

}  // namespace kontext
