// The reference backend against values worked out by hand.
#include "compute/reference/reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "compute/f16.h"

namespace kontext {
namespace {

using Floats = std::vector<float>;

class ReferenceTest : public testing::Test {
 protected:
  ~ReferenceTest() override {
    const Status status = ops->TakeStatus();
    EXPECT_TRUE(status.ok()) << status.message();
  }
  std::unique_ptr<Ops> ops = MakeReferenceOps(DType::kF32);
};

ConstTensorView In(const Floats& v, const Shape& shape) { return ViewOf(v.data(), shape); }
TensorView Out(Floats& v, const Shape& shape) { return ViewOf(v.data(), shape); }

// The hand values below have at least 7 digits; F32 keeps 2^-24 of them.
void ExpectNear(const Floats& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(got[i]), want[i], 1e-7 + 1e-7 * std::abs(want[i]))
        << "at " << i;
  }
}

// Pitfall 22: the tanh form (the erf form gives 0.8413447 at 1), and quick_gelu for CLIP.
TEST_F(ReferenceTest, ActivationsAtOneAndThree) {
  const Floats x = {1, -1, 3, -3};
  Floats y(4);
  ops->Activate(In(x, {4}), Activation::kGeluTanh, Out(y, {4}));
  ExpectNear(y, {0.841191990608, -0.158808009392, 2.996362607918, -0.003637392082});
  ops->Activate(In(x, {4}), Activation::kQuickGelu, Out(y, {4}));
  ExpectNear(y, {0.8457957659, -0.1542042341, 2.9819286903, -0.0180713097});
  ops->Activate(In(x, {4}), Activation::kSilu, Out(y, {4}));
  ExpectNear(y, {0.7310585786, -0.2689414214, 2.8577223804, -0.1422776196});
}

// Pitfall 5: channels 0 and 1 are a pair (not 0 and Dh/2), rotated by 1 rad at axis-0 position 1.
TEST_F(ReferenceTest, RopeRotatesNeighbours) {
  const Floats q = {1, 0, 0, 2};
  const Floats rope = {std::cos(1.0f), std::sin(1.0f), 0, 1};  // second pair: a quarter turn
  Floats y(4);
  ops->Rope(In(q, {1, 1, 4}), In(rope, {1, 2, 2}), Out(y, {1, 1, 4}));
  ExpectNear(y, {0.54030231, 0.84147098, -2, 0});
}

TEST_F(ReferenceTest, LayerNormHasBiasedVarianceAndAffine) {
  const Floats x = {1, 2, 3, 6};  // mean 3, squares 4 + 1 + 0 + 9 over 4: variance 3.5
  const Floats w = {1, 1, 1, 2}, b = {0, 0, 5, 1};
  const double r = 1 / std::sqrt(3.5 + 0.5);
  Floats y(4);
  ops->LayerNorm(In(x, {1, 4}), In(w, {4}), In(b, {4}), 0.5f, Out(y, {1, 4}));
  ExpectNear(y, {-2 * r, -1 * r, 5, 3 * r * 2 + 1});
  ops->LayerNorm(In(x, {1, 4}), {}, {}, 0.5f, Out(y, {1, 4}));
  ExpectNear(y, {-2 * r, -1 * r, 0, 3 * r});
}

TEST_F(ReferenceTest, RmsNormSubtractsNoMean) {
  const Floats x = {3, 4}, w = {2, 1};
  Floats y(2);
  ops->RmsNorm(In(x, {2}), In(w, {2}), 3.5f, Out(y, {2}));  // sqrt(25/2 + 3.5) = 4
  ExpectNear(y, {1.5, 1});
}

TEST_F(ReferenceTest, GroupNormHasBiasedVariancePerGroup) {
  // Two pixels, four channels, two groups: {1,3,5,7} has mean 4, variance 5; {2,2,2,2} variance 0.
  const Floats x = {1, 3, 2, 2, 5, 7, 2, 2}, w = {1, 1, 1, 1}, b = {0, 1, 0, -3};
  const double r = 1 / std::sqrt(5.25);
  Floats y(8);
  ops->GroupNorm(In(x, {1, 2, 4}), In(w, {4}), In(b, {4}), 2, 0.25f, Activation::kNone,
                 Out(y, {1, 2, 4}));
  ExpectNear(y, {-3 * r, -r + 1, 0, -3, r, 3 * r + 1, 0, -3});
}

TEST_F(ReferenceTest, LinearOfTwoRowParts) {
  const Floats x = {1, 2}, w0 = {3, 4}, w1 = {5, 6, 7, 8}, b0 = {0.5f}, b1 = {-1, 100};
  LinearSource source{{In(w0, {1, 2}), In(w1, {2, 2})}, {In(b0, {1}), In(b1, {2})}};
  auto w = ops->PrepareLinear(source);
  ASSERT_TRUE(w.ok()) << w.message();
  EXPECT_EQ((*w)->out_features, 3);
  EXPECT_TRUE((*w)->has_bias);
  Floats y(3);
  ops->Linear(In(x, {1, 2}), **w, Activation::kNone, Out(y, {1, 3}));
  ExpectNear(y, {11.5, 16, 123});
}

TEST_F(ReferenceTest, AttentionWeighsValues) {
  // q.k = (0, ln 3) with scale 1: p = (1/4, 3/4). With the bias of the second key at -ln 3: p =
  // 1/2.
  const float ln3 = std::log(3.0f);
  const Floats q = {1}, k = {0, ln3}, v = {4, 8}, bias = {0, -ln3};
  Floats y(1);
  ops->Attention(In(q, {1, 1, 1}), In(k, {1, 2, 1}), In(v, {1, 2, 1}), {}, Out(y, {1, 1}));
  ExpectNear(y, {7});
  AttentionOptions o;
  o.relative_bias = In(bias, {1, 2});  // Tq = 1: column j - i + 0
  ops->Attention(In(q, {1, 1, 1}), In(k, {1, 2, 1}), In(v, {1, 2, 1}), o, Out(y, {1, 1}));
  ExpectNear(y, {6});
}

TEST_F(ReferenceTest, CausalAttentionSeesNoFuture) {
  const Floats q = {1, 1}, k = {0, 0}, v = {4, 8};
  AttentionOptions o;
  o.causal = true;
  Floats y(2);
  ops->Attention(In(q, {1, 2, 1}), In(k, {1, 2, 1}), In(v, {1, 2, 1}), o, Out(y, {2, 1}));
  ExpectNear(y, {4, 6});
}

// Pitfall 18: the encoder's stride-2 convolution pads right and bottom only.
TEST_F(ReferenceTest, ConvPadsWhereItIsTold) {
  const Floats x = {1, 2, 3, 4};                                      // [2,2,1]
  const Floats w = {1, 10, 100, 1000, 1e4f, 1e5f, 0, 0, 0}, b = {0};  // third row 0
  auto conv = ops->PrepareConv(In(w, {1, 1, 3, 3}), In(b, {1}));
  ASSERT_TRUE(conv.ok()) << conv.message();
  Floats y(1);
  ConvOptions o{.stride = 2, .pad_begin = 0, .pad_end = 1};
  ops->Conv2d(In(x, {2, 2, 1}), **conv, o, Out(y, {1, 1, 1}));
  ExpectNear(y, {1 + 20 + 3000 + 40000});
  Floats full(4);
  ops->Conv2d(In(x, {2, 2, 1}), **conv, {}, Out(full, {2, 2, 1}));
  ExpectNear(full,
             {10000 + 200000, 1000 + 20000, 10 + 200 + 30000 + 400000, 1 + 20 + 3000 + 40000});
}

TEST_F(ReferenceTest, UpsampleRepeats) {
  const Floats x = {1, 2, 3, 4};  // [1,2,2]
  Floats y(16);
  ops->Upsample2x(In(x, {1, 2, 2}), Out(y, {2, 4, 2}));
  EXPECT_EQ(y, (Floats{1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4}));
}

TEST_F(ReferenceTest, CopyTransposesAndGatherPicksRows) {
  const Floats x = {1, 2, 3, 4, 5, 6};  // [2,3]
  ConstTensorView transposed = In(x, {3, 2});
  transposed.SetStride(0, 1);
  transposed.SetStride(1, 3);
  Floats y(6);
  ops->Copy(transposed, Out(y, {3, 2}));
  EXPECT_EQ(y, (Floats{1, 4, 2, 5, 3, 6}));
  const std::vector<int32_t> ids = {1, 1, 0};
  Floats rows(9);
  ops->GatherRows(In(x, {2, 3}), ViewOf(ids.data(), {3}), Out(rows, {3, 3}));
  EXPECT_EQ(rows, (Floats{4, 5, 6, 4, 5, 6, 1, 2, 3}));
}

// The default bodies of the fused ops: this backend overrides none.
TEST_F(ReferenceTest, FusedOpsAreTheirFormulas) {
  const Floats x = {1, 3}, w = {1, 0, 1, 1}, gate = {2, -1};
  auto linear = ops->PrepareLinear({{In(w, {2, 2})}, {}});
  ASSERT_TRUE(linear.ok()) << linear.message();
  const Floats shift = {10, 20}, scale = {1, -1};  // eps 3: LayerNorm gives -1/2, 1/2, so 9, 20
  Floats y(2);
  ops->ModulatedLinear(In(x, {1, 2}), {In(shift, {2}), In(scale, {2}), 3.0f}, **linear,
                       Activation::kNone, Out(y, {1, 2}));
  EXPECT_EQ(y, (Floats{9, 29}));
  Floats residual = {100, 200};
  ops->LinearGatedAdd(In(x, {1, 2}), **linear, In(gate, {2}), Out(residual, {1, 2}));
  ExpectNear(residual, {102, 196});
  ops->LinearGatedAdd(In(x, {1, 2}), **linear, {}, Out(residual, {1, 2}));
  ExpectNear(residual, {103, 200});

  const Floats one = {3}, b = {1}, pixels = {1, 2}, add = {50, 60};
  auto conv = ops->PrepareConv(In(one, {1, 1, 1, 1}), In(b, {1}));
  ASSERT_TRUE(conv.ok()) << conv.message();
  ops->Conv2dAdd(In(pixels, {1, 2, 1}), **conv, {1, 0, 0}, In(add, {1, 2, 1}), Out(y, {1, 2, 1}));
  ExpectNear(y, {54, 67});
}

TEST_F(ReferenceTest, SplitHeadsNormRopeSkipsWhatIsEmpty) {
  const Floats x = {3, 4, 6, 8, 1, 1, 2, 2};        // T 2, H 2, Dh 2
  const Floats norm = {1, 2}, rope = {0, 1, 1, 0};  // token 0 a quarter turn, token 1 none
  const double r = 1 / std::sqrt(12.5), r2 = 1 / std::sqrt(50.0);
  Floats y(8);
  const float eps = 1e-12f;
  auto src = In(x, {2, 4});
  ops->SplitHeadsNormRope(src, {}, eps, {}, Out(y, {2, 2, 2}));
  EXPECT_EQ(y, (Floats{3, 4, 1, 1, 6, 8, 2, 2}));
  ops->SplitHeadsNormRope(src, {}, eps, In(rope, {2, 1, 2}), Out(y, {2, 2, 2}));
  EXPECT_EQ(y, (Floats{-4, 3, 1, 1, -8, 6, 2, 2}));
  ops->SplitHeadsNormRope(src, In(norm, {2}), eps, {}, Out(y, {2, 2, 2}));
  ExpectNear(y, {3 * r, 8 * r, 1, 2, 6 * r2, 16 * r2, 1, 2});
  ops->SplitHeadsNormRope(src, In(norm, {2}), eps, In(rope, {2, 1, 2}), Out(y, {2, 2, 2}));
  ExpectNear(y, {-8 * r, 3 * r, 1, 2, -16 * r2, 6 * r2, 1, 2});
}

// Every binary16 code comes back from float as itself, and the points between two round to even.
TEST(ToF16Test, RoundTripsAndRoundsToEven) {
  for (uint32_t code = 0; code < 0x10000u; ++code) {
    const F16 h{static_cast<uint16_t>(code)};
    const float x = ToFloat(h);
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(ToFloat(ToF16(x))));
      continue;
    }
    ASSERT_EQ(ToF16(x).bits, h.bits);
    if ((code & 0x7FFFu) >= 0x7BFFu) continue;  // no finite neighbour further out
    const float next = ToFloat(F16{static_cast<uint16_t>(code + 1)});
    const float middle = (x + next) / 2;  // exact: a float has 13 bits more
    ASSERT_EQ(ToF16(middle).bits, (code & 1u) ? code + 1 : code);
    ASSERT_EQ(ToF16(std::nextafter(middle, x)).bits, code);
    ASSERT_EQ(ToF16(std::nextafter(middle, next)).bits, code + 1);
  }
  EXPECT_EQ(ToF16(65519.996f).bits, 0x7BFFu);
  EXPECT_EQ(ToF16(65520.0f).bits, 0x7C00u);
  EXPECT_EQ(ToF16(-1e30f).bits, 0xFC00u);
}

}  // namespace
}  // namespace kontext
