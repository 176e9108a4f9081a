#include "base/process_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <vector>

namespace kontext {
namespace {

namespace fs = std::filesystem;

TEST(ProcessMemory, AnonymousGrowsByWhatIsTouched) {
  const int64_t before = MemoryOfProcess().anonymous;
  const std::vector<char> block(64 << 20, 1);
  const int64_t grown = MemoryOfProcess().anonymous - before;
  std::printf("64 MiB touched: RssAnon grew by %.1f MiB\n", static_cast<double>(grown) / 0x1p20);
  EXPECT_GE(grown, 63 << 20);
  EXPECT_LE(grown, 66 << 20);
}

TEST(ProcessMemory, SomethingIsAvailable) {
  EXPECT_GT(AvailableBytes(), 1 << 20);
  EXPECT_LT(AvailableBytes(), int64_t{1} << 50);
}

class Groups : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "kontext-groups-" + std::to_string(getpid());
  }
  void TearDown() override { fs::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text << "\n";
  }
  std::string root_;
};

TEST_F(Groups, Version2TakesTheLeastRoomOnTheWayUp) {
  Write("/a/b/memory.max", "8000");
  Write("/a/b/memory.current", "1000");
  Write("/a/memory.max", "5000");
  Write("/a/memory.current", "1500");
  Write("/memory.max", "max");
  EXPECT_EQ(RoomInControlGroups("0::/a/b\n", root_), 3500);
  EXPECT_EQ(RoomInControlGroups("0::/a/b/not/mounted/here\n", root_), 3500);
}

TEST_F(Groups, PagesOfFilesAreRoom) {
  Write("/a/memory.max", "5000");
  Write("/a/memory.current", "4500");
  Write("/a/memory.stat", "anon 900\ninactive_file 2000\nactive_file 1000");
  EXPECT_EQ(RoomInControlGroups("0::/a\n", root_), 3500);
}

TEST_F(Groups, Version1AndAContainersOwnRoot) {
  Write("/memory/docker/x/memory.limit_in_bytes", "9000");
  Write("/memory/docker/x/memory.usage_in_bytes", "2000");
  Write("/memory/memory.limit_in_bytes", "6000");
  Write("/memory/memory.usage_in_bytes", "500");
  EXPECT_EQ(RoomInControlGroups("5:cpu:/docker/x\n4:hugetlb,memory:/docker/x\n0::/\n", root_),
            5500);
  EXPECT_EQ(RoomInControlGroups("4:memory:/elsewhere\n", root_), 5500);
  EXPECT_EQ(RoomInControlGroups("4:memory:/\n", root_), 5500);
}

TEST_F(Groups, NoneAndNonsenseAreNoLimit) {
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(RoomInControlGroups("", root_), kNone);
  EXPECT_EQ(RoomInControlGroups("nonsense\n::\n0::\n:::::\n", root_), kNone);
}

TEST_F(Groups, NothingLeftIsNotNegative) {
  Write("/a/memory.max", "5000");
  Write("/a/memory.current", "9000");
  EXPECT_EQ(RoomInControlGroups("0::/a\n", root_), 0);
}

}  // namespace
}  // namespace kontext
