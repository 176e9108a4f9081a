#include "edit/prompt_weights.h"

#include <gtest/gtest.h>

namespace kontext {
namespace {

std::string Show(std::string_view prompt) {
  std::string s;
  for (const WeightedText& w : ParsePromptWeights(prompt)) {
    char weight[32];
    std::snprintf(weight, sizeof(weight), "%.3g", static_cast<double>(w.weight));
    s += "[" + w.text + "]" + weight;
  }
  return s;
}

TEST(PromptWeights, Grammar) {
  EXPECT_EQ(Show(""), "");
  EXPECT_EQ(Show("a cat"), "[a cat]1");
  EXPECT_EQ(Show("a (red:1.5) hat"), "[a ]1[red]1.5[ hat]1");
  EXPECT_EQ(Show("a (red) hat"), "[a ]1[red]1.1[ hat]1");
  EXPECT_EQ(Show("((x))"), "[x]1.21");
  EXPECT_EQ(Show("(a (b:2) c)"), "[a ]1.1[b]2[ c]1.1");
  EXPECT_EQ(Show("\\(x\\)"), "[(x)]1");
  EXPECT_EQ(Show("(open"), "[(open]1");
  EXPECT_EQ(Show("close)"), "[close)]1");
  EXPECT_EQ(Show("(at 10:30 sharp)"), "[at 10:30 sharp]1.1");
  EXPECT_EQ(Show("(x:nan)"), "[x:nan]1.1");
}

TEST(PromptWeights, DeepNestingIsText) {
  const std::string deep = std::string(100000, '(') + "x" + std::string(100000, ')');
  EXPECT_FALSE(ParsePromptWeights(deep).empty());
}

}  // namespace
}  // namespace kontext
