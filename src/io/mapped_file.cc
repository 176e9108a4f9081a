#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "io/mapped_ranges.h"

namespace kontext {
namespace {

// Closes its file descriptor when it goes.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string Reason(int error) { return std::generic_category().message(error); }

struct OpenedFile {
  Descriptor descriptor;
  int64_t size = 0;
};

Result<OpenedFile> OpenRegularFile(const std::string& path) {
  // A NUL byte would silently name another file.
  if (path.find('\0') != std::string::npos) return BadInput("a file name holds a NUL byte");
  // O_NONBLOCK: opening a pipe must fail below, not wait for a writer.
  Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.get() < 0) return BadInput("{}: cannot be opened: {}", path, Reason(errno));
  struct stat info {};
  if (fstat(descriptor.get(), &info) != 0) {
    return BadInput("{}: cannot be examined: {}", path, Reason(errno));
  }
  if (S_ISDIR(info.st_mode)) return BadInput("{}: expected a file, got a folder", path);
  if (!S_ISREG(info.st_mode)) return BadInput("{}: expected a regular file", path);
  return OpenedFile{std::move(descriptor), static_cast<int64_t>(info.st_size)};
}

}  // namespace

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  ForgetMapping(data_);
  munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size_));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Result<MappedFile> MappedFile::Open(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const OpenedFile file, OpenRegularFile(path));
  if (file.size == 0) return BadInput("{}: the file is empty", path);
  void* memory = mmap(nullptr, static_cast<size_t>(file.size), PROT_READ, MAP_PRIVATE,
                      file.descriptor.get(), 0);
  if (memory == MAP_FAILED) return BadInput("{}: cannot be mapped: {}", path, Reason(errno));
  MappedFile mapped;
  mapped.data_ = static_cast<const std::byte*>(memory);
  mapped.size_ = file.size;
  RememberMapping(mapped.data_, mapped.size_, file.descriptor.get(), path);
  return mapped;
}

void ForgetPages(std::span<const std::byte> bytes) {
#ifdef MADV_PAGEOUT  // Linux 5.4; unlike MADV_DONTNEED it never loses the content of memory
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t before = (page - reinterpret_cast<uintptr_t>(bytes.data()) % page) % page;
  if (bytes.size() < before + page) return;  // no page lies in it whole
  const size_t size = (bytes.size() - before) / page * page;
  (void)madvise(const_cast<std::byte*>(bytes.data()) + before, size, MADV_PAGEOUT);
#else
  (void)bytes;
#endif
}

Result<std::string> ReadTextFile(const std::string& path, int64_t max_bytes) {
  KX_ASSIGN_OR_RETURN(const OpenedFile file, OpenRegularFile(path));
  if (file.size > max_bytes) {
    return BadInput("{}: the file has {} bytes, the limit is {}", path, file.size, max_bytes);
  }
  std::string text;
  try {
    text.resize(static_cast<size_t>(file.size));
  } catch (const std::bad_alloc&) {
    return NoSpace("{}: not enough memory for {} bytes", path, file.size);
  }
  size_t got = 0;
  while (got < text.size()) {
    const ssize_t n = read(file.descriptor.get(), text.data() + got, text.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return BadInput("{}: cannot be read: {}", path, Reason(errno));
    if (n == 0) {
      return BadInput("{}: the file shrank from {} to {} bytes meanwhile", path, file.size, got);
    }
    got += static_cast<size_t>(n);
  }
  return text;
}

}  // namespace kontext
