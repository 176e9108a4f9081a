#include "serve/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/status.h"

namespace kontext::serve {

Result<FolderLock> FolderLock::Take(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return BadInput("{}: {}", folder, error.message());
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  const std::string name = folder + "/lock";
  FolderLock lock(open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.file_ < 0) return BadInput("{}: {}", name, std::strerror(errno));
  if (flock(lock.file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    return Usage("{}: another kontext serve works in this folder; name another with --folder",
                 folder);
  return lock;
}

FolderLock::FolderLock(FolderLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

FolderLock::~FolderLock() {
  if (file_ >= 0) close(file_);
}

}  // namespace kontext::serve
