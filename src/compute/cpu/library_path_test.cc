// The path for processors that multiply bf16 natively, here in f32, in which it runs everywhere:
// products and convolutions by oneDNN against the reference backend.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "compute/cpu/cpu_ops.h"
#include "compute/reference/reference.h"

namespace kontext::cpu {
namespace {

class LibraryPathTest : public testing::Test {
 protected:
  void SetUp() override {
    cpu_ = std::make_unique<CpuOps>(Plan{.bf16_activations = false, .path = ProductPath::kLibrary});
    reference_ = MakeReferenceOps(DType::kF32);
  }

  // Numbers in [-1, 1).
  std::vector<float> Random(int64_t n) {
    std::vector<float> v(static_cast<size_t>(n));
    for (float& x : v) {
      state_ = state_ * 1664525u + 1013904223u;
      x = static_cast<float>(state_ >> 8) * 0x1p-23f - 1.0f;
    }
    return v;
  }

  // `terms` products of numbers up to 1: each partial sum is at most `terms`, and rounded once.
  // Both sides may be off by that; an activation's slope is at most 1.13, its own error some ulp.
  static double Bound(int64_t terms) {
    const double n = static_cast<double>(terms + 4);
    return 2 * 1.13 * n * n * 0x1p-24;
  }

  void Compare(const std::vector<float>& got, const std::vector<float>& want, double bound) {
    const Status status = cpu_->TakeStatus();
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_TRUE(reference_->TakeStatus().ok());
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double error = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
      ASSERT_LE(error, bound) << "element " << i << ": " << got[i] << ", expected " << want[i];
      worst = std::max(worst, error);
    }
    std::printf("observed %.3g, bound %.3g\n", worst, bound);
  }

  std::unique_ptr<Ops> cpu_, reference_;
  uint32_t state_ = 1;
};

// A memory limit is divided by this: bytes too many, and weights are encoded anew in every product.
TEST(CopyBytesTest, OnlyTheLibraryHasALayoutOfItsOwn) {
  const auto bytes = [](ProductPath path) {
    return CpuOps(Plan{.bf16_activations = true, .path = path}).CopyBytesPerWeight();
  };
  EXPECT_EQ(bytes(ProductPath::kWiden), 1);
  EXPECT_EQ(bytes(ProductPath::kLibrary), 2);
  EXPECT_EQ(bytes(ProductPath::kAmx), 1);
}

TEST_F(LibraryPathTest, WithRoomForEightBitsOnlyTheseAreCopied) {
  const int64_t t = 5, k = 64, n = 32;
  const auto src = Random(t * k), weight = Random(n * k);
  LinearSource source{{ViewOf(weight.data(), {n, k})}, {}};
  source.coarsest = Precision::kInt8;
  const int64_t pending = cpu_->PendingCopyBytes();
  std::vector<float> first;
  for (const Copies copies : {Copies::kNone, Copies::kInt8, Copies::kAll}) {
    source.copies = copies;
    auto w = cpu_->PrepareLinear(source);
    ASSERT_TRUE(w.ok()) << w.status().message();
    cpu_->SetPrecision(Precision::kInt8);
    const int64_t more = cpu_->PendingCopyBytes() - pending;
    EXPECT_EQ(more > 0, copies != Copies::kNone);
    std::vector<float> got(static_cast<size_t>(t * n));
    cpu_->Linear(ViewOf(src.data(), {t, k}), **w, Activation::kNone, ViewOf(got.data(), {t, n}));
    EXPECT_EQ(cpu_->PendingCopyBytes(), pending);  // made, or never to be
    if (first.empty()) first = got;
    EXPECT_EQ(got, first);
    cpu_->SetPrecision(Precision::kExact);
  }
}

TEST_F(LibraryPathTest, LinearOfStackedRows) {
  const int64_t t = 21, k = 70, n = 50, seam = 17;
  const auto src = Random(t * k), weight = Random(n * k), bias = Random(n), gate = Random(n);
  const LinearSource source{
      {ViewOf(weight.data(), {seam, k}), ViewOf(weight.data() + seam * k, {n - seam, k})},
      {ViewOf(bias.data(), {seam}), ViewOf(bias.data() + seam, {n - seam})}};
  auto w = cpu_->PrepareLinear(source), w_ref = reference_->PrepareLinear(source);
  ASSERT_TRUE(w.ok()) << w.status().message();
  ASSERT_TRUE(w_ref.ok());
  for (Activation act :
       {Activation::kNone, Activation::kSilu, Activation::kGeluTanh, Activation::kQuickGelu}) {
    std::vector<float> got(static_cast<size_t>(t * n)), want(got);
    cpu_->Linear(ViewOf(src.data(), {t, k}), **w, act, ViewOf(got.data(), {t, n}));
    reference_->Linear(ViewOf(src.data(), {t, k}), **w_ref, act, ViewOf(want.data(), {t, n}));
    Compare(got, want, Bound(k + 1));
  }
  std::vector<float> got = Random(t * n), want = got;
  cpu_->LinearGatedAdd(ViewOf(src.data(), {t, k}), **w, ViewOf(gate.data(), {n}),
                       ViewOf(got.data(), {t, n}));
  reference_->LinearGatedAdd(ViewOf(src.data(), {t, k}), **w_ref, ViewOf(gate.data(), {n}),
                             ViewOf(want.data(), {t, n}));
  Compare(got, want, Bound(k + 2));
}

TEST_F(LibraryPathTest, LinearWithLowRankBranches) {
  const int64_t t = 21, k = 70, n = 50, r = 3, first = 9, rows = 20;
  const auto src = Random(t * k), weight = Random(n * k), bias = Random(n), gate = Random(n);
  const auto down = Random(r * k), up = Random(n * r), some = Random(rows * r);
  LinearSource source{{ViewOf(weight.data(), {n, k})}, {ViewOf(bias.data(), {n})}};
  source.low_rank = {{ViewOf(down.data(), {r, k}), ViewOf(up.data(), {n, r}), 0, 0.5f},
                     {ViewOf(down.data(), {r, k}), ViewOf(some.data(), {rows, r}), first, -1.0f}};
  auto w = cpu_->PrepareLinear(source), w_ref = reference_->PrepareLinear(source);
  ASSERT_TRUE(w.ok()) << w.status().message();
  ASSERT_TRUE(w_ref.ok());
  // As Bound(), of numbers up to k + 1 + 2 k r and k + 2 r + 2 roundings on the way to each.
  const double bound = 2 * 1.13 * static_cast<double>(k + 1 + 2 * k * r) *
                       static_cast<double>(k + 2 * r + 2 + 4) * 0x1p-24;
  std::vector<float> got(static_cast<size_t>(t * n)), want(got);
  cpu_->Linear(ViewOf(src.data(), {t, k}), **w, Activation::kGeluTanh, ViewOf(got.data(), {t, n}));
  reference_->Linear(ViewOf(src.data(), {t, k}), **w_ref, Activation::kGeluTanh,
                     ViewOf(want.data(), {t, n}));
  Compare(got, want, bound);
  cpu_->LinearGatedAdd(ViewOf(src.data(), {t, k}), **w, ViewOf(gate.data(), {n}),
                       ViewOf(got.data(), {t, n}));
  reference_->LinearGatedAdd(ViewOf(src.data(), {t, k}), **w_ref, ViewOf(gate.data(), {n}),
                             ViewOf(want.data(), {t, n}));
  Compare(got, want, 2 * bound);
}

TEST_F(LibraryPathTest, Convolutions) {
  const int64_t h = 11, w = 14, in = 19, out = 21;
  struct {
    int64_t kernel;
    ConvOptions options;
  } const cases[] = {{3, {1, 1, 1}}, {3, {2, 0, 1}}, {1, {1, 0, 0}}};
  for (const auto& c : cases) {
    const ConvOptions& o = c.options;
    const int64_t room = o.pad_begin + o.pad_end - c.kernel;
    const Shape to{(h + room) / o.stride + 1, (w + room) / o.stride + 1, out};
    const auto src = Random(h * w * in), weight = Random(out * in * c.kernel * c.kernel);
    const auto bias = Random(out), residual = Random(to.NumElements());
    const auto kernel = ViewOf(weight.data(), {out, in, c.kernel, c.kernel});
    auto cw = cpu_->PrepareConv(kernel, ViewOf(bias.data(), {out}));
    auto cw_ref = reference_->PrepareConv(kernel, ViewOf(bias.data(), {out}));
    ASSERT_TRUE(cw.ok()) << cw.status().message();
    ASSERT_TRUE(cw_ref.ok());
    const ConstTensorView picture = ViewOf(src.data(), {h, w, in});
    std::vector<float> got(static_cast<size_t>(to.NumElements())), want(got);
    const double bound = Bound(in * c.kernel * c.kernel + 2);
    cpu_->Conv2d(picture, **cw, o, ViewOf(got.data(), to));
    reference_->Conv2d(picture, **cw_ref, o, ViewOf(want.data(), to));
    Compare(got, want, bound);
    cpu_->Conv2dAdd(picture, **cw, o, ViewOf(residual.data(), to), ViewOf(got.data(), to));
    reference_->Conv2dAdd(picture, **cw_ref, o, ViewOf(residual.data(), to),
                          ViewOf(want.data(), to));
    Compare(got, want, bound);
    std::vector<float> in_place = residual;
    cpu_->Conv2dAdd(picture, **cw, o, ViewOf(in_place.data(), to), ViewOf(in_place.data(), to));
    Compare(in_place, want, bound);
  }
}

TEST_F(LibraryPathTest, ConvolutionOfAnEnlargedPicture) {
  const int64_t h = 5, w = 7, in = 19, out = 21;
  const Shape to{2 * h, 2 * w, out};
  const auto src = Random(h * w * in), weight = Random(out * in * 9), bias = Random(out);
  const auto kernel = ViewOf(weight.data(), {out, in, 3, 3});
  auto cw = cpu_->PrepareConv(kernel, ViewOf(bias.data(), {out}));
  auto cw_ref = reference_->PrepareConv(kernel, ViewOf(bias.data(), {out}));
  ASSERT_TRUE(cw.ok()) << cw.status().message();
  ASSERT_TRUE(cw_ref.ok());
  std::vector<float> got(static_cast<size_t>(to.NumElements())), want(got);
  const ConstTensorView picture = ViewOf(src.data(), {h, w, in});
  cpu_->UpsampleConv2d(picture, **cw, ViewOf(got.data(), to));
  reference_->UpsampleConv2d(picture, **cw_ref, ViewOf(want.data(), to));
  Compare(got, want, Bound(in * 9 + 2));
}

// Pictures of several bands, the last one short; each against the op in one piece or its parts.
TEST_F(LibraryPathTest, Bands) {
  const int64_t h = 71, w = 300, in = 3, out = 5;
  const auto src = Random(h * w * in), weight = Random(out * in * 9), bias = Random(out);
  const auto kernel = ViewOf(weight.data(), {out, in, 3, 3});
  auto cw = cpu_->PrepareConv(kernel, ViewOf(bias.data(), {out}));
  auto cw_ref = reference_->PrepareConv(kernel, ViewOf(bias.data(), {out}));
  ASSERT_TRUE(cw.ok()) << cw.status().message();
  ASSERT_TRUE(cw_ref.ok());
  const ConstTensorView picture = ViewOf(src.data(), {h, w, in});
  const double bound = Bound(in * 9 + 2);
  const auto check = [&](const Shape& to, double largest, const auto& run) {
    std::vector<float> got(static_cast<size_t>(to.NumElements())), want(got);
    run(*cpu_, **cw, ViewOf(got.data(), to));
    run(*reference_, **cw_ref, ViewOf(want.data(), to));
    Compare(got, want, bound * largest);
  };
  check({h, w, out}, 1, [&](Ops& ops, const ConvWeights& c, TensorView dst) {
    ops.Conv2d(picture, c, {1, 1, 1}, dst);
  });
  check({h / 2, w / 2, out}, 1, [&](Ops& ops, const ConvWeights& c, TensorView dst) {
    ops.Conv2d(picture, c, {2, 0, 1}, dst);
  });
  check({2 * h, 2 * w, out}, 1, [&](Ops& ops, const ConvWeights& c, TensorView dst) {
    ops.UpsampleConv2d(picture, c, dst);
  });
  // Normalised, numbers of a uniform distribution are at most sqrt(3) (and a little, by chance).
  const std::vector<float> ones(in, 1), zeros(in);
  const auto residual = Random(h * w * out);
  const PictureNorm norm{ViewOf(ones.data(), {in}), ViewOf(zeros.data(), {in}), 3, 1e-6f,
                         Activation::kNone};
  check({h, w, out}, 1.8, [&](Ops& ops, const ConvWeights& c, TensorView dst) {
    ops.NormConv2d(picture, norm, c, ViewOf(residual.data(), {h, w, out}), dst);
  });
}

}  // namespace
}  // namespace kontext::cpu
