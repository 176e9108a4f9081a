// PictureReader: what clients send, decoded within what a server can afford.
#ifndef KONTEXT_SERVE_PICTURE_READER_H_
#define KONTEXT_SERVE_PICTURE_READER_H_

#include <mutex>
#include <string>

#include "kontext/kontext.h"

namespace kontext::serve {

// A file of some kilobytes may hold a picture of gigabytes. So one client's pictures are decoded at
// a time, and the next waits until this one is gone: at most 11 bytes a pixel of 100 megapixels
// (16-bit RGBA as it is read, 8-bit RGB of it), 1.1 GB in all, whatever is sent.
class PictureReader {
 public:
  static constexpr int64_t kMostPixels = 100'000'000;

  PictureReader() : turn_(Turn()) {}
  Result<LoadedPicture> Read(const std::string& bytes, const std::string& what,
                             bool keep_alpha = false) const {
    return DecodePictureBytes(bytes, what, keep_alpha, kMostPixels);
  }

 private:
  static std::mutex& Turn() {
    static std::mutex turn;
    return turn;
  }
  std::unique_lock<std::mutex> turn_;
};

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_PICTURE_READER_H_
