// The three picture formats as picture.cc sees them: files to samples and back. Colour, orientation
// and alpha are applied once, in picture.cc, for all of them.
#ifndef KONTEXT_IO_PICTURE_CODECS_H_
#define KONTEXT_IO_PICTURE_CODECS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "io/picture.h"

namespace kontext {

// PNG's gAMA and cHRM: the exponent of encoding (1/2.2 is usual) and the primaries.
struct PngColour {
  double gamma = 0;
  std::optional<std::array<double, 8>> white_red_green_blue_xy;
};

// Samples as the file holds them, rows top to bottom, no gaps.
struct RawPicture {
  enum class Model { kGrey, kRgb, kCmyk };  // kCmyk: 255 is full ink, never with alpha

  int width = 0;
  int height = 0;
  Model model = Model::kRgb;
  bool alpha = false;  // one more channel, straight, last
  int bytes_per_sample = 1;
  std::vector<uint8_t> data;  // 16-bit samples in the machine's byte order

  std::string icc;                  // profile bytes, or empty
  std::optional<PngColour> colour;  // only without `icc`, and only if it says something
  std::string exif;                 // TIFF block without "Exif\0\0", or empty
  std::string recipe;               // where the format has its own place for it: PNG
  std::vector<std::string> notes;

  int channels() const {
    return (model == Model::kGrey ? 1 : model == Model::kRgb ? 3 : 4) + (alpha ? 1 : 0);
  }
};

// kBadInput naming the limit that a width x height picture breaks. Called before any allocation.
Status CheckPictureSize(int64_t width, int64_t height, const PictureLimits& limits,
                        const std::string& what);

Result<RawPicture> DecodePng(std::string_view bytes, const std::string& what,
                             const PictureLimits& limits);
Result<RawPicture> DecodeJpeg(std::string_view bytes, const std::string& what,
                              const PictureLimits& limits);
Result<RawPicture> DecodeWebp(std::string_view bytes, const std::string& what,
                              const PictureLimits& limits);

// The disclosure that other programs read: an XMP packet with IPTC's term for what a trained model
// made (IPTC Photo Metadata Standard, Digital Source Type). Stands in every picture written.
constexpr std::string_view kMadeByAModel =
    "<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>"
    "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
    "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
    "<rdf:Description rdf:about=\"\""
    " xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\""
    " Iptc4xmpExt:DigitalSourceType="
    "\"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia\"/>"
    "</rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>";

// `pixels` has been checked. `exif` begins with "Exif\0\0" or is empty.
Result<std::string> EncodePng(const Pixels& pixels, const std::string& recipe);
Result<std::string> EncodeJpeg(const Pixels& pixels, const std::string& exif);
Result<std::string> EncodeWebp(const Pixels& pixels, const std::string& exif);

}  // namespace kontext

#endif  // KONTEXT_IO_PICTURE_CODECS_H_
