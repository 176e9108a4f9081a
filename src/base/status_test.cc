#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace kontext {
namespace {

Status FailIf(bool fail) { return fail ? BadInput("{} is {}", "x", 3) : Status(); }

Result<std::unique_ptr<int>> Make(int n) {
  if (n < 0) return Usage("n is {}, expected 0 or more", n);
  return std::make_unique<int>(n);
}

Status Passes(bool fail, int* reached) {
  KX_RETURN_IF_ERROR(FailIf(fail));
  ++*reached;
  return Status();
}

Result<int> Doubles(int n) {
  KX_ASSIGN_OR_RETURN(const std::unique_ptr<int> value, Make(n));
  KX_ASSIGN_OR_RETURN(std::unique_ptr<int> second, Make(n + 1));
  KX_ENSURE(*second == *value + 1);
  return *value * 2;
}

Status Ensures(int n) {
  KX_ENSURE(n == 1);
  return Status();
}

TEST(Status, MakersSetCodeAndMessage) {
  EXPECT_EQ(Internal("a{}", 1).code(), Code::kInternal);
  EXPECT_EQ(Usage("a{}", 1).code(), Code::kUsage);
  EXPECT_EQ(BadInput("a{}", 1).code(), Code::kBadInput);
  EXPECT_EQ(NoSpace("a{}", 1).code(), Code::kNoSpace);
  EXPECT_EQ(NoSpace("a{}", 1).message(), "a1");
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status().message(), "");
}

TEST(Status, ReturnIfErrorPassesItOn) {
  int reached = 0;
  EXPECT_TRUE(Passes(false, &reached).ok());
  EXPECT_EQ(reached, 1);
  const Status status = Passes(true, &reached);
  EXPECT_EQ(reached, 1);
  EXPECT_EQ(status.code(), Code::kBadInput);
  EXPECT_EQ(status.message(), "x is 3");
}

TEST(Status, AssignOrReturnMovesTheValue) {
  const Result<int> good = Doubles(4);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 8);
  EXPECT_EQ(Doubles(-1).message(), "n is -1, expected 0 or more");
  EXPECT_EQ(Doubles(-1).code(), Code::kUsage);
}

TEST(Status, EnsureIsAnErrorValueWithFileAndCondition) {
  EXPECT_TRUE(Ensures(1).ok());
  const Status status = Ensures(2);
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_NE(status.message().find("status_test.cc"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("n == 1"), std::string::npos) << status.message();
}

TEST(Result, AnOkStatusIsNoValue) {
  const Result<int> result = Status();
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.code(), Code::kInternal);
}

}  // namespace
}  // namespace kontext
