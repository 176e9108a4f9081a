#include "dit/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kontext {
namespace {

class RopeTableTest : public testing::Test {
 protected:
  // Pair j of token t: (cos, sin).
  std::pair<float, float> Pair(const std::vector<float>& table, size_t t, size_t j) const {
    const size_t at = (t * 64 + j) * 2;
    return {table[at], table[at + 1]};
  }
  DitConfig config_;  // FLUX.1's
};

TEST_F(RopeTableTest, IsTheIdentityForText) {
  const std::vector<float> table = RopeTable(config_, {{0, 0, 0}});
  ASSERT_EQ(table.size(), 128u);
  for (size_t j = 0; j < 64; ++j) EXPECT_EQ(Pair(table, 0, j), std::make_pair(1.0f, 0.0f)) << j;
}

TEST_F(RopeTableTest, TurnsAReferenceTokenByOneRadian) {  // spec architecture 6
  const std::vector<float> table = RopeTable(config_, {{0, 0, 0}, {1, 0, 0}});
  EXPECT_FLOAT_EQ(Pair(table, 1, 0).first, 0.54030231f);
  EXPECT_FLOAT_EQ(Pair(table, 1, 0).second, 0.84147098f);
  for (size_t j = 8; j < 64; ++j) EXPECT_EQ(Pair(table, 1, j), std::make_pair(1.0f, 0.0f)) << j;
}

TEST_F(RopeTableTest, HasIndexThenRowThenColumn) {
  const std::vector<float> table = RopeTable(config_, {{1, 2, 3}});
  const auto angle = [&](size_t j) {
    return std::atan2(Pair(table, 0, j).second, Pair(table, 0, j).first);
  };
  EXPECT_FLOAT_EQ(angle(1), 0.31622777f);           // index: 1 * 10000^(-2/16)
  EXPECT_FLOAT_EQ(angle(8 + 1), 2 * 0.71968567f);   // row: 2 * 10000^(-2/56)
  EXPECT_FLOAT_EQ(angle(36 + 3), 3 * 0.37275937f);  // column: 3 * 10000^(-6/56)
  EXPECT_FLOAT_EQ(angle(63), 3 * 0.00013894955f);
}

}  // namespace
}  // namespace kontext
