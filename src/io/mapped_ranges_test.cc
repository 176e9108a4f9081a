#include "io/mapped_ranges.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "io/mapped_file.h"

namespace kontext {
namespace {

class MappedRanges : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "kontext-ranges-" + std::to_string(getpid());
    std::ofstream(path_) << std::string(64 << 10, 'x');
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_;
};

TEST_F(MappedRanges, AFileCutShortReadsAsZerosAndIsNamed) {
  const auto file = MappedFile::Open(path_);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(CheckUnchanged({path_}).ok());
  std::filesystem::resize_file(path_, 4096);
  EXPECT_EQ(file->data()[100], std::byte{'x'});
  EXPECT_TRUE(CheckNothingLost({path_}).ok());  // nothing was read that is gone
  EXPECT_FALSE(CheckUnchanged({path_}).ok());
  volatile const std::byte* gone = file->data() + 40000;
  const std::byte value = *gone;
  EXPECT_EQ(value, std::byte{0});
  const Status changed = CheckNothingLost({path_});
  EXPECT_EQ(changed.code(), Code::kBadInput);
  EXPECT_NE(changed.message().find(path_ + ": the file changed while it was in use"),
            std::string::npos);
  EXPECT_TRUE(CheckNothingLost({"another file"}).ok());
}

// The twin that changes nothing: reading it, and another file of the same name.
TEST_F(MappedRanges, AFileWrittenOverAtItsLengthIsNamed) {
  const auto file = MappedFile::Open(path_);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->data()[100], std::byte{'x'});
  EXPECT_TRUE(CheckUnchanged({path_}).ok());
  // A second later whatever the file system's clock can tell apart.
  std::fstream(path_, std::ios::in | std::ios::out) << "yyyy";
  std::filesystem::last_write_time(
      path_, std::filesystem::last_write_time(path_) + std::chrono::seconds(1));
  EXPECT_TRUE(CheckNothingLost({path_}).ok());
  const Status changed = CheckUnchanged({path_});
  EXPECT_EQ(changed.code(), Code::kBadInput);
  EXPECT_NE(changed.message().find(path_ + ": the file changed while it was in use"),
            std::string::npos);
  EXPECT_TRUE(CheckUnchanged({"another file"}).ok());
}

TEST_F(MappedRanges, AnotherFileOfItsNameIsNoChange) {
  const auto file = MappedFile::Open(path_);
  ASSERT_TRUE(file.ok());
  std::ofstream(path_ + ".new") << "short";
  std::filesystem::rename(path_ + ".new", path_);
  EXPECT_TRUE(CheckUnchanged({path_}).ok());
  EXPECT_EQ(file->data()[40000], std::byte{'x'});
  std::filesystem::remove(path_);
  EXPECT_TRUE(CheckUnchanged({path_}).ok());
}

TEST_F(MappedRanges, OpenedAgainTheFileIsSound) {
  {
    const auto file = MappedFile::Open(path_);
    std::filesystem::resize_file(path_, 4096);
    volatile const std::byte* gone = file->data() + 40000;
    const std::byte value = *gone;
    EXPECT_EQ(value, std::byte{0});
    EXPECT_FALSE(CheckUnchanged({path_}).ok());
  }
  const auto file = MappedFile::Open(path_);
  EXPECT_TRUE(CheckUnchanged({path_}).ok());
}

TEST_F(MappedRanges, KnowsWhatIsMapped) {
  const auto file = MappedFile::Open(path_);
  const auto size = static_cast<size_t>(file->size());
  EXPECT_TRUE(IsMapped({file->data(), size}));
  EXPECT_TRUE(IsMapped({file->data() + 5, 100}));
  EXPECT_FALSE(IsMapped({file->data() + 5, size}));
  std::byte local[8];
  EXPECT_FALSE(IsMapped(local));
}

// A SIGBUS that is none of ours ends the process as it always did.
TEST_F(MappedRanges, ForeignBusErrorsStayFatal) {
  const auto file = MappedFile::Open(path_);
  EXPECT_EXIT(
      {
        std::raise(SIGBUS);
        std::raise(SIGBUS);
      },
      ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace kontext
