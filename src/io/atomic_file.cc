#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

#include "io/picture.h"

namespace kontext {
namespace {

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// kBadInput unless a file may appear at `path`; else the access rights of the file already there,
// or -1 if there is none.
Result<int> ModeOfPredecessor(const std::string& path) {
  struct stat info {};
  // stat, not lstat: a link to a device or a pipe (/dev/stdout) must not be replaced either.
  if (stat(path.c_str(), &info) != 0) return -1;
  if (S_ISDIR(info.st_mode)) return BadInput("{}: is a folder; name a file in it", path);
  if (!S_ISREG(info.st_mode)) return BadInput("{}: is no regular file; name another place", path);
  return static_cast<int>(info.st_mode & 0777);
}

}  // namespace

Status CannotWrite(const std::string& path, const std::string& what, int error) {
  const std::string reason = std::generic_category().message(error);
  // EFBIG is what a file size limit of the process or the file system answers.
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return NoSpace("{}: {}: {}; free some space or name another place", path, what, reason);
  }
  return BadInput("{}: {}: {}; name a place that can be written", path, what, reason);
}

void SyncFolderOf(const std::string& path) {
  const int folder = open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  (void)fsync(folder);
  close(folder);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::exchange(other.fd_, -1)) {}

Status AtomicFile::Failed(const char* what) const { return CannotWrite(path_, what, errno); }

Result<AtomicFile> AtomicFile::Open(const std::string& path) {
  if (path.empty()) return BadInput("the file name is empty");
  if (path.find('\0') != std::string::npos) return BadInput("a file name holds a NUL byte");
  KX_ASSIGN_OR_RETURN(const int mode, ModeOfPredecessor(path));
  AtomicFile file;
  file.path_ = path;
  std::random_device random;
  // O_EXCL with a fresh name: nobody's file or link is ever opened. 0666: the umask applies.
  for (int attempt = 0; attempt < 100 && file.fd_ < 0; ++attempt) {
    const std::string name = fmt::format("{}/.kontext-{:08x}.tmp", FolderOf(path), random());
    file.fd_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.fd_ >= 0) {
      file.temporary_ = name;
    } else if (errno != EEXIST) {
      break;
    }
  }
  if (file.fd_ < 0) return file.Failed("cannot be created");
  // Rights that cannot be set (a foreign file system) are no reason to lose a finished picture.
  if (mode >= 0) (void)fchmod(file.fd_, static_cast<mode_t>(mode));
  return file;
}

Status AtomicFile::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("cannot be written");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status AtomicFile::Commit() {
  // EINVAL and ENOTSUP: a file system that cannot sync has said all it can.
  if (fsync(fd_) != 0 && errno != EINVAL && errno != ENOTSUP) return Failed("cannot be synced");
  // Some file systems report a full disk only here.
  if (close(std::exchange(fd_, -1)) != 0) return Failed("cannot be closed");
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return Failed("cannot be renamed");
  temporary_.clear();
  SyncFolderOf(path_);
  return {};
}

Status WriteFileAtomically(const std::string& path, std::string_view bytes) {
  KX_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Open(path));
  KX_RETURN_IF_ERROR(file.Append(bytes));
  return file.Commit();
}

}  // namespace kontext
