// MappedFile: a file's bytes as read-only memory, unmapped when it goes.
#ifndef KONTEXT_IO_MAPPED_FILE_H_
#define KONTEXT_IO_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/status.h"

namespace kontext {

class MappedFile {
 public:
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  // kBadInput, naming the path and the system's reason, if it is missing, unreadable, empty or no file.
  static Result<MappedFile> Open(const std::string& path);

  const std::byte* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  const std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace kontext

#endif  // KONTEXT_IO_MAPPED_FILE_H_
