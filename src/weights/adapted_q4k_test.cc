// A LoRA on a base in GGUF's Q4_K, beside the product and merged: what it adds is what it adds to
// the same weights in bf16. Nothing of it is rounded to the base's 4 bits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "adapter_file.h"
#include "base/bf16.h"
#include "compute/registry.h"
#include "weights/adapted_source.h"
#include "weights/ggml_types.h"
#include "weights/loader.h"

namespace kontext {
namespace {

using Vector = std::vector<float>;

constexpr int64_t kT = 3, kN = 24, kK = 512, kRank = 4;
constexpr char kLayer[] = "single_blocks.0.linear2";
constexpr float kStrength = 0.8f;

void VisitLayer(LinearPtr& w, WeightVisitor& v) { v.Linear(kLayer, w, kN, kK, Bias::kNo); }

Vector Positive(const char* name, int64_t n) {
  Vector v = FillUniform(name, n);
  for (float& u : v) u = std::abs(u);
  return v;
}

// The one weight, in whatever encoding.
class Base : public TensorSource {
 public:
  explicit Base(WeightRows rows) : rows_(std::move(rows)) {}
  Result<std::vector<WeightRows>> Find(const std::string&, const Shape&) override {
    return std::vector<WeightRows>{rows_};
  }
  std::vector<std::string> Unasked() const override { return {}; }
  std::string description() const override { return "base"; }

 private:
  WeightRows rows_;
};

class AdaptedQ4K : public testing::Test {
 protected:
  void SetUp() override {
    // Blocks as they come: any bits are a sound block if its two units are numbers. All numbers of
    // this test are positive, so that the sums are as large as their terms allow and a bound on
    // their roundings is near what is seen.
    constexpr int64_t kBlockBytes = 144, kBlocks = kN * kK / 256;
    const Vector random = FillUniform("blocks", kBlocks * kBlockBytes);
    for (const float u : random) blocks_.push_back(static_cast<std::byte>((u + 1) * 128));
    constexpr uint16_t kUnits[] = {0x0C00, 0};  // halfs: d = 2^-12, dmin = 0
    for (size_t b = 0; b < blocks_.size(); b += kBlockBytes)
      std::memcpy(&blocks_[b], kUnits, sizeof(kUnits));
    const GgmlType* q4k = FindGgmlType(12);
    ASSERT_STREQ(q4k->name, "Q4_K");
    const auto matrix = MakeGgmlMatrix(*q4k, blocks_, kN, kK);
    encoded_ = std::make_unique<Base>(WeightRows(matrix, {kN, kK}));
    weights_.resize(kN * kK);
    WeightRows(matrix, {kN, kK}).DecodeAll(weights_.data());
    for (const float w : weights_) rounded_.push_back(ToBF16(w));
    plain_ = std::make_unique<Base>(WeightRows(ConstTensorView(
        reinterpret_cast<const std::byte*>(rounded_.data()), DType::kBF16, {kN, kK})));

    names_.Add(
        AdaptedNetwork::kTransformer, [](WeightVisitor& v) { VisitLayer(unused_, v); },
        TransformerDialects({1, 1, 64, 448}));
    file_.Add("lora_unet_single_blocks_0_linear2.lora_down.weight", {kRank, kK}, down_);
    file_.Add("lora_unet_single_blocks_0_linear2.lora_up.weight", {kN, kRank}, up_);
    auto parsed = ParseAdapter(file_.file(), names_);
    ASSERT_TRUE(parsed.ok()) << parsed.message();
    adapter_ = std::move(*parsed);
  }

  // x W^T with the adapter, [T,N].
  Vector Output(Base& base, float strength, bool merge) {
    AdaptedSource source(base, {{&adapter_, strength}}, merge);
    const auto ops = *MakeOps({"cpu", "f32"});
    LinearPtr w;
    const Status loaded = LoadWeights([&](WeightVisitor& v) { VisitLayer(w, v); }, source, *ops);
    EXPECT_TRUE(loaded.ok()) << loaded.message();
    Vector y(kT * kN);
    ops->Linear(ViewOf(std::as_const(x_).data(), {kT, kK}), *w, Activation::kNone,
                ViewOf(y.data(), {kT, kN}));
    EXPECT_TRUE(ops->TakeStatus().ok());
    return y;
  }
  // What the adapter adds.
  Vector Effect(Base& base, float strength, bool merge) {
    Vector with = Output(base, strength, merge);
    const Vector without = Output(base, 0, merge);
    for (size_t i = 0; i < with.size(); ++i) with[i] -= without[i];
    return with;
  }
  // An element of the product with the adapter, every term positive.
  double Element(int64_t t, int64_t n) const {
    const auto at = [](const Vector& v, int64_t i) { return double{v[static_cast<size_t>(i)]}; };
    double sum = 0;
    for (int64_t k = 0; k < kK; ++k) {
      double delta = 0;
      for (int64_t r = 0; r < kRank; ++r) delta += at(down_, r * kK + k) * at(up_, n * kRank + r);
      sum += at(x_, t * kK + k) * (at(weights_, n * kK + k) + double{kStrength} * delta);
    }
    return sum;
  }
  // The largest ratio of |a - b| to the bound of two effects, each the difference of two products.
  // No term of a product passes more than K + R + 3 roundings (merged, the R terms of the weight
  // are of them), which add up to more than 6 times the root of their number with a chance below
  // 1e-7 (Higham and Mary 2019, theorem 2.4). Four products do so in quadrature, and the two bases
  // agree to 2^-8.
  double Ratio(const Vector& a, const Vector& b) const {
    const double roundings = 6 * std::sqrt(kK + kRank + 3.0);
    double worst = 0;
    for (int64_t t = 0; t < kT; ++t) {
      for (int64_t n = 0; n < kN; ++n) {
        const auto i = static_cast<size_t>(t * kN + n);
        const double bound = 2 * roundings * 0x1p-24 * (1 + 0x1p-8) * Element(t, n);
        worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}) / bound);
      }
    }
    return worst;
  }

  static inline LinearPtr unused_;
  std::vector<std::byte> blocks_;
  Vector weights_;  // the blocks' values
  std::vector<BF16> rounded_;
  std::unique_ptr<Base> encoded_, plain_;
  const Vector x_ = Positive("x", kT* kK);
  const Vector down_ = Positive("down", kRank* kK);
  const Vector up_ = Positive("up", kN* kRank);
  AdapterNames names_;
  adapter_test::File file_;
  Adapter adapter_;
};

TEST_F(AdaptedQ4K, ALoraAddsWhatItAddsToBf16) {
  const Vector want = Effect(*plain_, kStrength, false);
  for (const bool merge : {false, true}) {
    const double ratio = Ratio(Effect(*encoded_, kStrength, merge), want);
    std::printf("%s: %.3f of the bound\n", merge ? "merged" : "beside", ratio);
    EXPECT_LE(ratio, 1);
    // The twin that must fail: an adapter of half a percent more.
    EXPECT_GT(Ratio(Effect(*encoded_, 1.005f * kStrength, merge), want), 1);
  }
  EXPECT_LE(Ratio(Effect(*plain_, kStrength, true), want), 1);
}

TEST_F(AdaptedQ4K, StrengthZeroLeavesEveryBit) {
  AdaptedSource source(*encoded_, {{&adapter_, 0}}, true);
  EXPECT_EQ((*source.Find(std::string(kLayer) + ".weight", {kN, kK}))[0].encoding(), "Q4_K");
  EXPECT_EQ(Output(*encoded_, 0, true), Output(*encoded_, 0, false));
  EXPECT_NE(Output(*encoded_, kStrength, false), Output(*encoded_, 0, false));
}

}  // namespace
}  // namespace kontext
