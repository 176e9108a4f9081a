// ResumableFile: a large file that is made in steps, each of which survives whatever ends the
// program, and that appears under its name only when it is complete.
//
//   NAME.partial           the bytes so far
//   NAME.partial.journal   a line of `plan`, then of every step that is on the disk its lines and
//                          an empty one
#ifndef KONTEXT_IO_RESUMABLE_FILE_H_
#define KONTEXT_IO_RESUMABLE_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensor/weight_rows.h"

namespace kontext {

class ResumableFile {
 public:
  ~ResumableFile();
  ResumableFile(ResumableFile&& other) noexcept;
  ResumableFile& operator=(ResumableFile&&) = delete;

  // Goes on with what lies beside `path` if its journal begins with the line `plan`; else starts
  // anew. kBadInput if another process is at it, or if the place cannot be written.
  static Result<ResumableFile> Open(const std::string& path, const std::string& plan);
  // The journal's lines after the plan, but those of a step that was cut off.
  const std::vector<std::string>& recovered() const { return recovered_; }

  // kNoSpace when the disk is full. The parts stay, for another try.
  Status WriteAt(int64_t offset, ByteSpan bytes);
  // All that was written reaches the disk, then `lines` (none of them empty) do. Forgets the file's
  // pages: they are not read again.
  Status Checkpoint(const std::vector<std::string>& lines);
  // The file is complete with `size` bytes: synced and renamed over `path`; the journal goes.
  Status Commit(int64_t size);

 private:
  ResumableFile() = default;
  Status ReadJournal(const std::string& plan);
  Status Failed(const char* what) const;  // from errno

  std::string path_;
  int data_ = -1, journal_ = -1;
  int64_t journal_bytes_ = 0;
  std::vector<std::string> recovered_;
};

}  // namespace kontext

#endif  // KONTEXT_IO_RESUMABLE_FILE_H_
