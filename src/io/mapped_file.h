// Files as memory. MappedFile: a file's bytes as read-only memory, unmapped when it goes. Of a file
// that another program shortens meanwhile the lost part reads as zeros; CheckUnchanged
// (io/mapped_ranges.h) tells that, and what was written over. ReadTextFile: a copy, for small files
// and for those that may change.
#ifndef KONTEXT_IO_MAPPED_FILE_H_
#define KONTEXT_IO_MAPPED_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace kontext {

class MappedFile {
 public:
  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  // kBadInput, naming the path and the system's reason, if it is missing, unreadable, empty or no
  // file.
  static Result<MappedFile> Open(const std::string& path);

  const std::byte* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  const std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

// Tells the system that these bytes of mapped files are not needed soon; they can still be read. A
// hint: nothing happens to memory that is no file's.
void ForgetPages(std::span<const std::byte> bytes);

// The whole file, which may be empty. kBadInput as above, and when it holds more than `max_bytes`.
Result<std::string> ReadTextFile(const std::string& path, int64_t max_bytes);

}  // namespace kontext

#endif  // KONTEXT_IO_MAPPED_FILE_H_
