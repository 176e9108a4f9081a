#include "io/exif.h"

#include <libexif/exif-data.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace kontext {
namespace {

constexpr std::string_view kHead("Exif\0\0", 6);
constexpr std::string_view kSoftware = "kontext.cpp";
// UserComment begins with eight bytes that name its character set: this one, or zeros for "not
// said", which is what UTF-8 beyond ASCII has to use.
constexpr std::string_view kAscii("ASCII\0\0\0", 8);
constexpr std::string_view kUnsaid("\0\0\0\0\0\0\0\0", 8);
// A JPEG segment holds 65,533 bytes; head, two directories and Software take less than 200.
constexpr size_t kMaxRecipeBytes = 65'300;

struct Unref {
  void operator()(ExifData* d) const { exif_data_unref(d); }
  void operator()(ExifEntry* e) const { exif_entry_unref(e); }
  void operator()(unsigned char* bytes) const { std::free(bytes); }
};

// The entry's bytes; empty if it is absent.
std::string_view Bytes(const ExifData& data, ExifIfd ifd, ExifTag tag) {
  const ExifEntry* entry = exif_content_get_entry(data.ifd[ifd], tag);
  if (entry == nullptr || entry->data == nullptr) return {};
  return {reinterpret_cast<const char*>(entry->data), entry->size};
}

Status AddEntry(ExifData& data, ExifIfd ifd, ExifTag tag, ExifFormat format,
                const std::string& bytes) {
  const std::unique_ptr<ExifEntry, Unref> entry(exif_entry_new());
  if (entry == nullptr) return NoSpace("not enough memory for the picture's EXIF");
  entry->tag = tag;
  entry->format = format;
  entry->components = bytes.size();
  entry->size = static_cast<unsigned>(bytes.size());
  entry->data = static_cast<unsigned char*>(std::malloc(bytes.size()));  // freed with the entry
  if (entry->data == nullptr) return NoSpace("not enough memory for the picture's EXIF");
  std::memcpy(entry->data, bytes.data(), bytes.size());
  exif_content_add_entry(data.ifd[ifd], entry.get());
  return {};
}

}  // namespace

ExifFacts ReadExif(std::string_view tiff) {
  ExifFacts facts;
  if (tiff.empty()) return facts;
  std::string block(kHead);
  block += tiff;
  const std::unique_ptr<ExifData, Unref> data(exif_data_new_from_data(
      reinterpret_cast<const unsigned char*>(block.data()), static_cast<unsigned>(block.size())));
  if (data == nullptr) return facts;

  const ExifEntry* entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  if (entry != nullptr && entry->format == EXIF_FORMAT_SHORT && entry->size >= 2) {
    const int value = exif_get_short(entry->data, exif_data_get_byte_order(data.get()));
    if (value >= 1 && value <= 8) facts.orientation = value;
  }
  const std::string_view software = Bytes(*data, EXIF_IFD_0, EXIF_TAG_SOFTWARE);
  const std::string_view comment = Bytes(*data, EXIF_IFD_EXIF, EXIF_TAG_USER_COMMENT);
  if (software.substr(0, software.find('\0')) == kSoftware &&
      (comment.starts_with(kAscii) || comment.starts_with(kUnsaid))) {
    facts.recipe = comment.substr(kAscii.size());
  }
  return facts;
}

Result<std::string> MakeExif(const std::string& recipe) {
  if (recipe.size() > kMaxRecipeBytes) {
    return Usage("a recipe of {} bytes does not fit into EXIF ({} at most); name a .png file",
                 recipe.size(), kMaxRecipeBytes);
  }
  const std::unique_ptr<ExifData, Unref> data(exif_data_new());
  if (data == nullptr) return NoSpace("not enough memory for the picture's EXIF");
  exif_data_set_byte_order(data.get(), EXIF_BYTE_ORDER_INTEL);
  KX_RETURN_IF_ERROR(AddEntry(*data, EXIF_IFD_0, EXIF_TAG_SOFTWARE, EXIF_FORMAT_ASCII,
                              std::string(kSoftware) + '\0'));
  if (!recipe.empty()) {
    const bool ascii = std::all_of(recipe.begin(), recipe.end(), [](char c) { return c >= 0; });
    KX_RETURN_IF_ERROR(AddEntry(*data, EXIF_IFD_EXIF, EXIF_TAG_USER_COMMENT, EXIF_FORMAT_UNDEFINED,
                                std::string(ascii ? kAscii : kUnsaid) + recipe));
  }
  unsigned char* saved = nullptr;
  unsigned bytes = 0;
  exif_data_save_data(data.get(), &saved, &bytes);
  const std::unique_ptr<unsigned char, Unref> owned(saved);
  KX_ENSURE(saved != nullptr && bytes <= 65'533);
  return std::string(reinterpret_cast<const char*>(saved), bytes);
}

}  // namespace kontext
