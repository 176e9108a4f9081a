#include "base/cut_text.h"

#include <gtest/gtest.h>

namespace kontext {
namespace {

TEST(CutText, KeepsWholeCharacters) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xB1";  // 1, 2, 3 and 4 bytes
  const size_t wanted[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
  for (size_t most = 0; most < std::size(wanted); ++most)
    EXPECT_EQ(CutText(text, most), text.substr(0, wanted[most])) << most;
  EXPECT_EQ(CutText("\x80\x80\x80", 2), "");  // no beginning of a character
}

}  // namespace
}  // namespace kontext
