#include "io/container.h"

#include <gtest/gtest.h>

#include "scratch_folder.h"

namespace kontext {
namespace {

using namespace std::string_literals;

TEST(Container, ByFirstBytes) {
  const auto sniff = [](const std::string& head) {
    return SniffContainer(head, static_cast<int64_t>(head.size()));
  };
  EXPECT_EQ(sniff(""), Container::kEmpty);
  EXPECT_EQ(sniff("GGUF\3\0\0\0"s), Container::kGguf);
  EXPECT_EQ(sniff("\x10\0\0\0\0\0\0\0{\"a\":1}"s), Container::kSafetensors);
  EXPECT_EQ(sniff("\x08\0\0\0\0\0\0\0{}      "s), Container::kSafetensors);
  EXPECT_EQ(sniff("PK\3\4rest"), Container::kPickle);
  EXPECT_EQ(sniff("\x80\x02}q"), Container::kPickle);
  EXPECT_EQ(sniff("\x08\x0a\x12\x07pytorch"), Container::kOnnx);
  EXPECT_EQ(sniff("ftrt1234"), Container::kTensorRt);
  EXPECT_EQ(sniff("version https://git-lfs.github.com/spec/v1\n"), Container::kLfsPointer);
  EXPECT_EQ(sniff("\n  <!DOCTYPE html><html>"), Container::kWebPage);
  EXPECT_EQ(sniff("{\"a\": 1}"), Container::kJson);
  EXPECT_EQ(sniff("hello"), Container::kUnknown);
  EXPECT_EQ(sniff(std::string(600, '\0')), Container::kUnknown);
  EXPECT_EQ(sniff("\xff\xff\xff\xff\xff\xff\xff\xff{"), Container::kUnknown);  // no such header
  for (const char first : {'\x80', '\x08', 'G', 'P', '<', '{'}) sniff(std::string(1, first));
}

TEST(Container, FilesThatAreNone) {
  const ScratchFolder folder;
  EXPECT_FALSE(SniffFile(folder.path() + "/absent").ok());
  EXPECT_FALSE(SniffFile(folder.path()).ok());  // the folder itself
  folder.Write("empty", "");
  EXPECT_EQ(*SniffFile(folder.path() + "/empty"), Container::kEmpty);
}

}  // namespace
}  // namespace kontext
