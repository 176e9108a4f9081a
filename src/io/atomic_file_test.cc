#include "io/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>

#include "io/mapped_file.h"
#include "io/picture.h"
#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::HasSubstr;

std::string Content(const std::string& path) {
  auto text = ReadTextFile(path, 1 << 24);
  return text.ok() ? *text : "unreadable";
}
long Files(const std::string& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}
mode_t ModeOf(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

// Files of this process may grow to `bytes` only, until the object goes: a full disk for a test.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(WriteFileAtomically, MakesAndReplacesFiles) {
  const ScratchFolder folder;
  const std::string path = folder.path() + "/out.png";
  const mode_t mask = umask(027);
  ASSERT_TRUE(WriteFileAtomically(path, "first").ok());
  umask(mask);
  EXPECT_EQ(Content(path), "first");
  EXPECT_EQ(ModeOf(path), 0640u);  // the umask counts
  ASSERT_EQ(chmod(path.c_str(), 0604), 0);
  ASSERT_TRUE(WriteFileAtomically(path, "").ok());
  EXPECT_EQ(Content(path), "");
  EXPECT_EQ(ModeOf(path), 0604u);  // and so do the rights that were there
  EXPECT_EQ(Files(folder.path()), 1);
}

TEST(WriteFileAtomically, ReplacesALinkAndNotItsTarget) {
  const ScratchFolder folder;
  folder.Write("target", "old");
  ASSERT_EQ(symlink("target", (folder.path() + "/link").c_str()), 0);
  ASSERT_TRUE(WriteFileAtomically(folder.path() + "/link", "new").ok());
  EXPECT_EQ(Content(folder.path() + "/target"), "old");
  EXPECT_EQ(Content(folder.path() + "/link"), "new");
}

TEST(WriteFileAtomically, RefusesPlacesThatAreNoFiles) {
  const ScratchFolder folder;
  ASSERT_EQ(symlink("/dev/null", (folder.path() + "/device").c_str()), 0);
  const struct {
    std::string path;
    const char* reason;
  } cases[] = {{folder.path(), "is a folder"},
               {folder.path() + "/none/out.png", "No such file"},
               {"/dev/null", "no regular file"},
               {folder.path() + "/device", "no regular file"},
               {"", "empty"},
               {std::string("a\0b", 3), "NUL"}};
  for (const auto& c : cases) {
    const Status status = WriteFileAtomically(c.path, "x");
    EXPECT_EQ(status.code(), Code::kBadInput) << c.path;
    EXPECT_THAT(status.message(), HasSubstr(c.reason));
  }
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_EQ(Files(folder.path()), 1);
}

TEST(WriteFileAtomically, SaysThatItMayNotWrite) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  const ScratchFolder folder;
  ASSERT_EQ(chmod(folder.path().c_str(), 0500), 0);
  const Status status = WriteFileAtomically(folder.path() + "/out.png", "x");
  ASSERT_EQ(chmod(folder.path().c_str(), 0700), 0);
  EXPECT_EQ(status.code(), Code::kBadInput);
  EXPECT_THAT(status.message(), HasSubstr("Permission denied"));
}

TEST(WriteFileAtomically, KeepsTheOldFileWhenTheDiskIsFull) {
  const ScratchFolder folder;
  const std::string path = folder.path() + "/out.png";
  folder.Write("out.png", "old");
  Status status;
  {
    const FileSizeLimit limit(4096);
    status = WriteFileAtomically(path, std::string(10000, 'x'));
  }
  EXPECT_EQ(status.code(), Code::kNoSpace) << status.message();
  EXPECT_THAT(status.message(), HasSubstr(path));
  EXPECT_EQ(Content(path), "old");
  EXPECT_EQ(Files(folder.path()), 1);  // no temporary file stays
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const ScratchFolder folder;
  {
    auto file = AtomicFile::Open(folder.path() + "/a");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->Append("half").ok());
    EXPECT_EQ(Files(folder.path()), 1);
    EXPECT_FALSE(std::filesystem::exists(folder.path() + "/a"));
  }
  EXPECT_EQ(Files(folder.path()), 0);
}

}  // namespace
}  // namespace kontext
