#include "io/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::HasSubstr;

TEST(MappedFile, HoldsTheBytesAndMovesThem) {
  const ScratchFolder folder;
  folder.Write("a", "some bytes");
  auto opened = MappedFile::Open(folder.path() + "/a");
  ASSERT_TRUE(opened.ok()) << opened.message();
  MappedFile file = std::move(*opened);
  ASSERT_EQ(file.size(), 10);
  EXPECT_EQ(std::memcmp(file.data(), "some bytes", 10), 0);
  MappedFile other;
  other = std::move(file);
  EXPECT_EQ(std::memcmp(other.data(), "some bytes", 10), 0);
  EXPECT_EQ(file.data(), nullptr);  // NOLINT: the state after a move is part of the promise
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  const ScratchFolder folder;
  folder.Write("empty", "");
  ASSERT_EQ(mkfifo((folder.path() + "/pipe").c_str(), 0600), 0);
  const struct {
    std::string path;
    const char* reason;
  } cases[] = {{folder.path(), "got a folder"},
               {folder.path() + "/none", "No such file"},
               {folder.path() + "/empty", "is empty"},
               {folder.path() + "/pipe", "regular file"},
               {"/dev/null", "regular file"},
               {folder.path() + std::string("/empty\0x", 8), "NUL"},
               {"", "cannot be opened"}};
  for (const auto& c : cases) {
    const auto file = MappedFile::Open(c.path);
    ASSERT_FALSE(file.ok()) << c.path;
    EXPECT_EQ(file.code(), Code::kBadInput);
    EXPECT_THAT(file.message(), HasSubstr(c.reason));
  }
}

TEST(MappedFile, SaysThatItMayNotRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const ScratchFolder folder;
  folder.Write("secret", "x");
  ASSERT_EQ(chmod((folder.path() + "/secret").c_str(), 0), 0);
  EXPECT_THAT(MappedFile::Open(folder.path() + "/secret").message(),
              HasSubstr("Permission denied"));
}

TEST(ReadTextFile, KeepsToTheLimit) {
  const ScratchFolder folder;
  folder.Write("a", "12345");
  folder.Write("empty", "");
  EXPECT_EQ(*ReadTextFile(folder.path() + "/a", 5), "12345");
  EXPECT_EQ(*ReadTextFile(folder.path() + "/empty", 5), "");
  EXPECT_THAT(ReadTextFile(folder.path() + "/a", 4).message(), HasSubstr("the limit is 4"));
  EXPECT_FALSE(ReadTextFile(folder.path(), 4).ok());
}

}  // namespace
}  // namespace kontext
