// One server a folder: a second one would take the first one's running edit for one that a crash
// left.
#ifndef KONTEXT_SERVE_FOLDER_LOCK_H_
#define KONTEXT_SERVE_FOLDER_LOCK_H_

#include <string>

#include "kontext/status.h"

namespace kontext::serve {

class FolderLock {
 public:
  // Makes the folder, for its owner only. kUsage if another process has it. The lock goes with the
  // process, however that ends.
  static Result<FolderLock> Take(const std::string& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  explicit FolderLock(int file) : file_(file) {}
  int file_;
};

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_FOLDER_LOCK_H_
