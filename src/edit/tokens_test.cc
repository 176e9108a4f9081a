#include "edit/tokens.h"

#include <gtest/gtest.h>

#include <numeric>

namespace kontext {
namespace {

// pitfalls 15: token 0 of a ramp [16,4,4] must be in ch*4 + pr*2 + pc order.
TEST(Tokens, PackOrderIsChannelThenRowThenColumn) {
  std::vector<float> planes(16 * 4 * 4);
  std::iota(planes.begin(), planes.end(), 0.0f);  // value = ch*16 + y*4 + x
  std::vector<float> tokens(4 * 64);
  PackPlanes(planes, {2, 2}, ViewOf(tokens.data(), {4, 64}));
  for (size_t c = 0; c < 16; ++c) {
    EXPECT_EQ(tokens[c * 4 + 0], static_cast<float>(c * 16 + 0));
    EXPECT_EQ(tokens[c * 4 + 1], static_cast<float>(c * 16 + 1));
    EXPECT_EQ(tokens[c * 4 + 2], static_cast<float>(c * 16 + 4));
    EXPECT_EQ(tokens[c * 4 + 3], static_cast<float>(c * 16 + 5));
  }
  EXPECT_EQ(tokens[64], 2.0f);   // token 1 begins at x = 2
  EXPECT_EQ(tokens[128], 8.0f);  // token 2 at y = 2
}

TEST(Tokens, UnpackIsTheInverse) {
  std::vector<float> latents(6 * 10 * 16), tokens(latents.size()), back(latents.size());
  std::iota(latents.begin(), latents.end(), 0.0f);
  Pack(ViewOf(latents.data(), {6, 10, 16}), ViewOf(tokens.data(), {15, 64}));
  EXPECT_NE(tokens, latents);
  Unpack(ViewOf(tokens.data(), {15, 64}), ViewOf(back.data(), {6, 10, 16}));
  EXPECT_EQ(back, latents);
}

TEST(Tokens, IdsAreTextTargetReference) {
  const auto ids = MakeIds(2, {3, 2}, {{2, 2}});
  ASSERT_EQ(ids.size(), 2u + 6u + 4u);
  EXPECT_EQ(ids[0], (TokenId{0, 0, 0}));
  EXPECT_EQ(ids[2], (TokenId{0, 0, 0}));
  EXPECT_EQ(ids[3], (TokenId{0, 0, 1}));
  EXPECT_EQ(ids[4], (TokenId{0, 1, 0}));
  EXPECT_EQ(ids[8], (TokenId{1, 0, 0}));
  EXPECT_EQ(ids[11], (TokenId{1, 1, 1}));
}

// pitfalls 48: two references of 8x8 latents: the second starts at row (8+1)/2 = 4, column 0.
TEST(Tokens, SecondReferenceIsOffsetByTokensNotLatents) {
  const auto ids = MakeIds(0, {4, 4}, {{4, 4}, {4, 4}, {2, 8}});
  EXPECT_EQ(ids[16], (TokenId{1, 0, 0}));
  EXPECT_EQ(ids[32], (TokenId{1, 4, 0}));
  // Third, 4x16 latents beside extents 16x8: 4+16 > 16+8 is false, so it goes below, at row 8.
  EXPECT_EQ(ids[48], (TokenId{1, 8, 0}));
  // A tall one beside: 16+8 > 8+8, so it goes to the right of the first.
  EXPECT_EQ(MakeIds(0, {4, 4}, {{4, 4}, {8, 4}})[32], (TokenId{1, 0, 4}));
}

}  // namespace
}  // namespace kontext
