// AtomicFile: a file that appears under its name only when it is complete.
#ifndef KONTEXT_IO_ATOMIC_FILE_H_
#define KONTEXT_IO_ATOMIC_FILE_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace kontext {

// Open() makes a temporary file beside `path`; Commit() syncs it and renames it over `path`.
// Without Commit() the temporary file goes with the object. A regular file at `path` hands its
// access rights on; a symbolic link is replaced, not followed; anything else (folder, device, pipe)
// is refused.
class AtomicFile {
 public:
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  // kBadInput when the place is not writable, kNoSpace when the disk is full, here and below.
  static Result<AtomicFile> Open(const std::string& path);
  Status Append(std::string_view bytes);
  Status Commit();

 private:
  AtomicFile() = default;
  Status Failed(const char* what) const;  // from errno

  std::string path_;
  std::string temporary_;  // empty once renamed or moved from
  int fd_ = -1;
};

// Opens, appends and commits. On any failure the old file at `path` is untouched.
Status WriteFileAtomically(const std::string& path, std::string_view bytes);

// `path` could not be written ("cannot be created"), with `error` of the system: kNoSpace if there
// is no room, else kBadInput.
Status CannotWrite(const std::string& path, const std::string& what, int error);

// A rename to `path` reaches the disk with its folder. The file is already in place, so a folder
// that cannot be synced is no failure.
void SyncFolderOf(const std::string& path);

}  // namespace kontext

#endif  // KONTEXT_IO_ATOMIC_FILE_H_
