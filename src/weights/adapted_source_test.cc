// Adapters on the weights of a small network: beside the products or merged, the same numbers.
#include "weights/adapted_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "adapter_file.h"
#include "compute/registry.h"
#include "weights/loader.h"

namespace kontext {
namespace {

using namespace adapter_test;  // NOLINT: its few names are this file's, too
using Vector = std::vector<float>;

constexpr int64_t kT = 3;

// Two products of the miniature, one of them loaded in two parts.
struct Net {
  LinearPtr qkv, mlp, linear2;
  void Visit(WeightVisitor& v) {
    v.LinearRows("single_blocks.0.linear1", qkv, {0, 3 * kD}, 3 * kD + kF, kD, Bias::kYes);
    v.LinearRows("single_blocks.0.linear1", mlp, {3 * kD, 3 * kD + kF}, 3 * kD + kF, kD,
                 Bias::kYes);
    v.Linear("single_blocks.0.linear2", linear2, kD, kD + kF, Bias::kYes);
  }
};

// Random weights in an encoding of its own: signs times one number a row.
class Signs : public EncodedMatrix {
 public:
  using EncodedMatrix::EncodedMatrix;
  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    for (int64_t k = begin; k < end; ++k) {
      out[k - begin] =
          (((row * 31 + k * 17) & 4) == 0 ? 0.1f : -0.1f) * static_cast<float>(row + 1);
    }
  }
  void Touches(int64_t, int64_t, std::vector<ByteSpan>&) const override {}
  std::string encoding() const override { return "signs"; }
};
class SignSource : public RandomSource {
 public:
  SignSource() : RandomSource(DType::kF32) {}
  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) override {
    if (shape.rank() != 2) return RandomSource::Find(name, shape);
    return std::vector<WeightRows>{WeightRows(std::make_shared<Signs>(shape[0], shape[1]), shape)};
  }
};

// The random weights in pieces of kD rows, as Diffusers' files have them.
class PiecesSource : public RandomSource {
 public:
  PiecesSource() : RandomSource(DType::kF32) {}
  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) override {
    KX_ASSIGN_OR_RETURN(const auto whole, RandomSource::Find(name, shape));
    std::vector<WeightRows> pieces;
    for (int64_t row = 0; row < shape[0]; row += kD) pieces.push_back(whole[0].Rows(row, row + kD));
    return pieces;
  }
};

// What the three products make of inputs by the fill rule, one after the other.
Vector Outputs(TensorSource& source, const char* backend = "cpu") {
  Net net;
  auto ops = MakeOps({backend, "f32"});
  const Status loaded = LoadWeights([&](WeightVisitor& v) { net.Visit(v); }, source, **ops);
  EXPECT_TRUE(loaded.ok()) << loaded.message();
  Vector all;
  for (const LinearWeights* w : {net.qkv.get(), net.mlp.get(), net.linear2.get()}) {
    const Vector x = FillUniform("x", kT * w->in_features);
    Vector y(static_cast<size_t>(kT * w->out_features));
    (*ops)->Linear(ViewOf(x.data(), {kT, w->in_features}), *w, Activation::kNone,
                   ViewOf(y.data(), {kT, w->out_features}));
    all.insert(all.end(), y.begin(), y.end());
  }
  EXPECT_TRUE((*ops)->TakeStatus().ok());
  return all;
}

Vector Adapted(const std::vector<AppliedAdapter>& adapters, bool merge,
               const char* backend = "cpu") {
  RandomSource base(DType::kF32);
  AdaptedSource source(base, adapters, merge);
  return Outputs(source, backend);
}

// The same terms in another order: within 1e-5 of the largest (spec lora 7, test 11).
void ExpectNear(const Vector& got, const Vector& want) {
  double worst = 0, largest = 0;
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(double{got[i]} - double{want[i]}));
    largest = std::max(largest, std::abs(double{want[i]}));
  }
  std::printf("observed %.3g, bound %.3g\n", worst, 1e-5 * largest);
  EXPECT_LE(worst, 1e-5 * largest);
}

double Distance(const Vector& a, const Vector& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
  }
  return largest;
}

class AdaptedSourceTest : public testing::Test {
 protected:
  AdaptedSourceTest() {
    // Over the seam between the two parts of linear1, on some rows only, and with a bias.
    AddPair(first_, "transformer.single_transformer_blocks.0.attn.to_k", kD, kD, "1");
    AddPair(first_, "transformer.single_transformer_blocks.0.proj_mlp", kF, kD, "2");
    AddPair(first_, "transformer.single_transformer_blocks.0.proj_out", kD, kD + kF, "3");
    first_.Fill("transformer.single_transformer_blocks.0.proj_out.lora_B.bias", {kD}, "4");
    AddPair(second_, "lora_unet_single_blocks_0_linear1", 3 * kD + kF, kD, "5");
    a_ = first_.Parsed();
    b_ = second_.Parsed();
  }
  File first_, second_;
  Adapter a_, b_;
};

TEST_F(AdaptedSourceTest, StrengthZeroIsTheBaseBitForBit) {
  RandomSource base(DType::kF32);
  const Vector plain = Outputs(base);
  for (bool merge : {false, true}) {
    EXPECT_EQ(Adapted({{&a_, 0.0f}, {&b_, 0.0f}}, merge), plain);
    EXPECT_GT(Distance(Adapted({{&a_, 1.0f}}, merge), plain), 0.1);
  }
}

TEST_F(AdaptedSourceTest, BesideEqualsMerged) {  // 11
  const std::vector<AppliedAdapter> adapters = {{&a_, 0.8f}, {&b_, -0.5f}};
  for (const char* backend : {"cpu", "reference"}) {
    ExpectNear(Adapted(adapters, false, backend), Adapted(adapters, true, backend));
  }
}

TEST_F(AdaptedSourceTest, AnEncodedWeightKeepsItsEncodingBesideALora) {  // 12
  SignSource base;
  AdaptedSource source(base, {{&a_, 1.0f}}, false), merged(base, {{&a_, 1.0f}}, true);
  const std::string name = "single_blocks.0.linear2.weight";
  auto found = source.Find(name, {kD, kD + kF});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ((*found)[0].encoding(), "signs");
  EXPECT_EQ(source.Branches(name).size(), 1u);
  EXPECT_TRUE(merged.Branches(name).empty());
  auto found_merged = merged.Find(name, {kD, kD + kF});
  ASSERT_TRUE(found_merged.ok());
  EXPECT_EQ((*found_merged)[0].encoding(), "signs + adapters");
  ExpectNear(Outputs(source), Outputs(merged));
}

TEST_F(AdaptedSourceTest, AdaptersCommute) {  // 15
  for (bool merge : {false, true}) {
    ExpectNear(Adapted({{&a_, 0.7f}, {&b_, 1.0f}}, merge),
               Adapted({{&b_, 1.0f}, {&a_, 0.7f}}, merge));
  }
}

TEST_F(AdaptedSourceTest, WhatHasNoLowRankFormIsMergedAlways) {
  File file;
  file.Fill("lora_unet_single_blocks_0_linear2.diff", {kD, kD + kF}, "d");
  const Adapter difference = file.Parsed();
  EXPECT_EQ(Adapted({{&difference, 1.0f}}, false), Adapted({{&difference, 1.0f}}, true));
  RandomSource base(DType::kF32);
  EXPECT_GT(Distance(Adapted({{&difference, 1.0f}}, false), Outputs(base)), 0.1);
}

// Diffusers keeps q, k, v and the rest apart: merging makes one matrix of them and leaves their
// biases, an adapter's bias makes one of those and leaves the matrices.
TEST_F(AdaptedSourceTest, PiecesOfTheFileMayBecomeOneOrStay) {
  RandomSource whole(DType::kF32);
  PiecesSource pieces;
  File biased;
  AddPair(biased, "lora_unet_single_blocks_0_linear1", 3 * kD + kF, kD, "5");
  biased.Fill("lora_unet_single_blocks_0_linear1.lora_B.bias", {3 * kD + kF}, "6");
  const Adapter c = biased.Parsed();
  for (const Adapter* adapter : {&std::as_const(b_), &c}) {
    for (const bool merge : {false, true}) {
      AdaptedSource one(whole, {{adapter, 0.5f}}, merge), many(pieces, {{adapter, 0.5f}}, merge);
      ExpectNear(Outputs(many), Outputs(one));
    }
  }
}

TEST_F(AdaptedSourceTest, AWeightOfAnotherShapeIsLeftToTheLoader) {
  RandomSource base(DType::kF32);
  AdaptedSource source(base, {{&a_, 1.0f}}, true);
  auto found = source.Find("single_blocks.0.linear2.weight", {kD, kD + kF});
  ASSERT_TRUE(found.ok());
  AdaptedSource again(base, {{&a_, 1.0f}}, true);
  auto other = again.Find("single_blocks.0.linear2.weight", {kD, kD});
  ASSERT_TRUE(other.ok());
  EXPECT_FALSE((*other)[0].is_encoded());
}

}  // namespace
}  // namespace kontext
