#include "io/resumable_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "io/mapped_file.h"
#include "scratch_folder.h"

namespace kontext {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kPlan[] = "plan 1";

std::string Content(const std::string& path) {
  auto text = ReadTextFile(path, 1 << 20);
  return text.ok() ? *text : "unreadable";
}

class ResumableFileTest : public ::testing::Test {
 protected:
  // Writes "one", then "two" behind it, each a step of two lines, and leaves.
  void TwoSteps() {
    auto file = ResumableFile::Open(out_, kPlan);
    ASSERT_TRUE(file.ok()) << file.message();
    ASSERT_TRUE(file->WriteAt(0, Bytes("one")).ok());
    ASSERT_TRUE(file->Checkpoint({"a", "b"}).ok());
    ASSERT_TRUE(file->WriteAt(3, Bytes("two")).ok());
    ASSERT_TRUE(file->Checkpoint({"c", "d"}).ok());
  }
  std::vector<std::string> Recovered(const std::string& plan = kPlan) const {
    const auto file = ResumableFile::Open(out_, plan);
    EXPECT_TRUE(file.ok()) << file.message();
    return file.ok() ? file->recovered() : std::vector<std::string>{"refused"};
  }
  static ByteSpan Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

  const ScratchFolder folder_;
  const std::string out_ = folder_.path() + "/out", journal_ = out_ + ".partial.journal";
};

TEST_F(ResumableFileTest, GoesOnWhereItWasLeft) {
  TwoSteps();
  auto file = ResumableFile::Open(out_, kPlan);
  ASSERT_TRUE(file.ok()) << file.message();
  EXPECT_THAT(file->recovered(), ElementsAre("a", "b", "c", "d"));
  ASSERT_TRUE(file->WriteAt(6, Bytes("three")).ok());
  EXPECT_FALSE(std::filesystem::exists(out_));
  ASSERT_TRUE(file->Commit(9).ok());
  EXPECT_EQ(Content(out_), "onetwothr");
  EXPECT_FALSE(std::filesystem::exists(journal_));
}

TEST_F(ResumableFileTest, AStepCutAnywhereIsDoneAgain) {
  TwoSteps();
  const std::string whole = Content(journal_);
  const size_t one_step = std::string("plan 1\na\nb\n\n").size();
  ASSERT_EQ(whole.size(), one_step + 5);
  for (size_t size = one_step; size < whole.size(); ++size) {
    folder_.Write("out.partial.journal", whole.substr(0, size));
    EXPECT_THAT(Recovered(), ElementsAre("a", "b")) << size;
  }
  // The next step is shorter than what was cut off, of which nothing may be left behind it.
  folder_.Write("out.partial.journal", whole.substr(0, whole.size() - 1));
  {
    auto file = ResumableFile::Open(out_, kPlan);
    ASSERT_TRUE(file.ok()) << file.message();
    ASSERT_TRUE(file->Checkpoint({"e"}).ok());
  }
  EXPECT_THAT(Recovered(), ElementsAre("a", "b", "e"));
}

TEST_F(ResumableFileTest, AnotherPlanStartsAnew) {
  TwoSteps();
  EXPECT_THAT(Recovered("plan 2"), IsEmpty());
  EXPECT_EQ(Content(out_ + ".partial"), "");
}

TEST_F(ResumableFileTest, TwoWritersAreRefused) {
  const auto first = ResumableFile::Open(out_, kPlan);
  ASSERT_TRUE(first.ok()) << first.message();
  const auto second = ResumableFile::Open(out_, kPlan);
  EXPECT_EQ(second.status().code(), Code::kBadInput);
  EXPECT_NE(second.message().find("another process"), std::string::npos) << second.message();
}

}  // namespace
}  // namespace kontext
