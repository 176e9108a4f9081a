#include "base/listed.h"

#include <gtest/gtest.h>

namespace kontext {
namespace {

TEST(Listed, SaysHowManyMore) {
  const std::vector<std::string> items = {"a", "b", "c"};
  EXPECT_EQ(Listed({}, 2), "");
  EXPECT_EQ(Listed(items, 3), "a, b, c");
  EXPECT_EQ(Listed(items, 2), "a, b and 1 more");
  EXPECT_EQ(Listed(items, 1, "; "), "a; and 2 more");
  EXPECT_EQ(Listed(items, 2, ", ", [](const std::string& s) { return "<" + s + ">"; }),
            "<a>, <b> and 1 more");
}

}  // namespace
}  // namespace kontext
