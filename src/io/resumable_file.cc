#include "io/resumable_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "io/atomic_file.h"
#include "io/mapped_file.h"

namespace kontext {
namespace {

constexpr int64_t kMaxJournalBytes = 64 << 20;

std::string PartialName(const std::string& path) { return path + ".partial"; }
std::string JournalName(const std::string& path) { return PartialName(path) + ".journal"; }

// False and errno if not all could be written.
bool WriteAll(int fd, const std::byte* from, size_t bytes, int64_t offset) {
  while (bytes > 0) {
    const ssize_t n = pwrite(fd, from, bytes, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    from += n;
    bytes -= static_cast<size_t>(n);
    offset += n;
  }
  return true;
}

// EINVAL and ENOTSUP: a file system that cannot sync has said all it can.
bool Sync(int fd) { return fdatasync(fd) == 0 || errno == EINVAL || errno == ENOTSUP; }

}  // namespace

ResumableFile::~ResumableFile() {
  if (data_ >= 0) close(data_);
  if (journal_ >= 0) close(journal_);
}

ResumableFile::ResumableFile(ResumableFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, -1)),
      journal_(std::exchange(other.journal_, -1)),
      journal_bytes_(other.journal_bytes_),
      recovered_(std::move(other.recovered_)) {}

Status ResumableFile::Failed(const char* what) const {
  return CannotWrite(PartialName(path_), what, errno);
}

Result<ResumableFile> ResumableFile::Open(const std::string& path, const std::string& plan) {
  if (path.find('\0') != std::string::npos) return BadInput("a file name holds a NUL byte");
  ResumableFile file;
  file.path_ = path;
  // O_NOFOLLOW: a link in this place is not ours.
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  file.data_ = open(PartialName(path).c_str(), kFlags, 0666);
  if (file.data_ < 0) return file.Failed("cannot be created");
  if (flock(file.data_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return BadInput("{}: another process is writing it; wait for it or name another place",
                    PartialName(path));
  }
  file.journal_ = open(JournalName(path).c_str(), kFlags, 0666);
  if (file.journal_ < 0) return file.Failed("cannot have a journal beside it");
  KX_RETURN_IF_ERROR(file.ReadJournal(plan));
  return file;
}

Status ResumableFile::ReadJournal(const std::string& plan) {
  KX_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(JournalName(path_), kMaxJournalBytes));
  const std::string first = plan + "\n";
  if (text.starts_with(first)) {
    // Up to the empty line that ends the last whole step: a full disk cuts steps in two.
    const size_t last = text.rfind("\n\n");
    const size_t size = last == std::string::npos ? first.size() : last + 2;
    for (size_t at = first.size(), end; at < size; at = end + 1) {
      end = text.find('\n', at);
      if (end > at) recovered_.push_back(text.substr(at, end - at));
    }
    journal_bytes_ = static_cast<int64_t>(size);
    // What the next steps do not write over must not follow them.
    if (ftruncate(journal_, journal_bytes_) != 0) return Failed("cannot have its journal cut");
    return {};
  }
  if (ftruncate(data_, 0) != 0 || ftruncate(journal_, 0) != 0) return Failed("cannot be emptied");
  if (!WriteAll(journal_, reinterpret_cast<const std::byte*>(first.data()), first.size(), 0)) {
    return Failed("cannot have a journal beside it");
  }
  journal_bytes_ = static_cast<int64_t>(first.size());
  return {};
}

Status ResumableFile::WriteAt(int64_t offset, ByteSpan bytes) {
  if (!WriteAll(data_, bytes.data(), bytes.size(), offset)) return Failed("cannot be written");
  return {};
}

Status ResumableFile::Checkpoint(const std::vector<std::string>& lines) {
  if (!Sync(data_)) return Failed("cannot be synced");
  (void)posix_fadvise(data_, 0, 0, POSIX_FADV_DONTNEED);
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  text += "\n";  // the step is whole
  if (!WriteAll(journal_, reinterpret_cast<const std::byte*>(text.data()), text.size(),
                journal_bytes_) ||
      !Sync(journal_)) {
    return Failed("cannot have its journal continued");
  }
  journal_bytes_ += static_cast<int64_t>(text.size());
  return {};
}

Status ResumableFile::Commit(int64_t size) {
  // A try before this one, cut off behind its journal, may have left more.
  if (ftruncate(data_, size) != 0) return Failed("cannot be cut to its size");
  if (!Sync(data_)) return Failed("cannot be synced");
  if (rename(PartialName(path_).c_str(), path_.c_str()) != 0) return Failed("cannot be renamed");
  (void)unlink(JournalName(path_).c_str());
  SyncFolderOf(path_);
  return {};
}

}  // namespace kontext
