// Linear and LinearGatedAdd with Precision::kInt8 (ops.h) against the same formula in plain loops.
// The sums of products are integers and must be equal: what may differ are the roundings of the
// sum to f32, of the two scales, of adding slices and the bias, and of the activation.
#include <fmt/format.h>

#include <array>
#include <limits>

#include "conformance/harness.h"
#include "tensor/convrot.h"
#include "tensor/packed_int8.h"

namespace kontext::conformance {
namespace {

struct Sizes {
  int64_t t, k, n;
};
constexpr Sizes kSizes[] = {{1, 1, 1},      {3, 3, 7},     {7, 4, 17},
                            {6, 256, 16},   {13, 255, 33}, {97, 512, 50},
                            {193, 64, 272}, {2, 3076, 20}, {5, 6400, 19}};
// Relative to the sum of the slices' magnitudes: to f32, a scale, an addition for each further
// slice, a scale, the bias, and one to spare for the activation.
double Roundings(int64_t k) {
  return static_cast<double>(4 + (k + kInt8Slice - 1) / kInt8Slice) * kU32;
}

class Int8Test : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    ops->SetPrecision(Precision::kInt8);
    oracle->SetPrecision(Precision::kInt8);
  }

  static std::unique_ptr<LinearWeights> Prepared(Ops& o, const LinearSource& source) {
    auto w = o.PrepareLinear(source);
    EXPECT_TRUE(w.ok()) << w.message();
    return std::move(*w);
  }

  // The weight, whose last value is its row's largest; the nudged one for the backend under test.
  struct Weight {
    HostTensor exact, tested;
  };
  static Weight Make(Draw& draw, DType dtype, int64_t n, int64_t k) {
    Values values = draw(dtype, n * k);
    values.back() = 1.0;
    HostTensor exact(dtype, {n, k}, values);
    if (Nudged()) values.back() = 1.01;
    return {std::move(exact), HostTensor(dtype, {n, k}, values)};
  }

  // Of every result, by the oracle: the sum of its slices' magnitudes, |bias| among them.
  Values Magnitudes(const HostTensor& src, const LinearWeights& w) {
    const int64_t t = src.view().dim(0), k = src.view().dim(1);
    Values sum(static_cast<size_t>(t * w.out_features));
    for (int64_t begin = 0; begin < k; begin += kInt8Slice) {
      Values slice = src.values();
      for (int64_t i = 0; i < std::ssize(slice); ++i) {
        if (i % k < begin || i % k >= begin + kInt8Slice) slice[static_cast<size_t>(i)] = 0;
      }
      HostTensor part(DType::kF32, {t, w.out_features});
      oracle->Linear(HostTensor(DType::kF32, {t, k}, slice).view(), w, Activation::kNone,
                     part.view());
      const Values values = part.values();
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += std::abs(values[i]);
    }
    return sum;
  }

  // Compares Linear of both; `extra` is added to every element's bound.
  void CheckLinear(const std::string& what, const HostTensor& src, const LinearSource& tested,
                   const LinearSource& exact, Activation act, DType dst_dtype, double extra = 0) {
    const int64_t t = src.view().dim(0);
    const auto a = Prepared(*ops, tested), b = Prepared(*oracle, exact);
    HostTensor got(dst_dtype, {t, a->out_features}, 3), sum(DType::kF32, {t, a->out_features}),
        want(DType::kF32, {t, a->out_features});
    ops->Linear(src.view(), *a, act, got.view());
    oracle->Linear(src.view(), *b, Activation::kNone, sum.view());
    oracle->Linear(src.view(), *b, act, want.view());
    Values bound = Magnitudes(src, *b);
    const Values before = sum.values();
    for (size_t i = 0; i < bound.size(); ++i) {
      // 1: no bias is larger, and where it cancels, the product is at most that much above the sum.
      bound[i] =
          ActivationBound(act, before[i], Roundings(src.view().dim(1)) * (bound[i] + 1) + extra);
    }
    Compare("Linear, int8", what, got, want.values(), bound);
  }
};

TEST_P(Int8Test, Linear) {
  int round = 0;
  for (const Sizes& s : kSizes) {
    for (DType weight : kWeightDtypes) {
      const DType src_dtype = kActivationDtypes[round % 2];
      const DType dst_dtype = kActivationDtypes[round / 2 % 2];
      const Activation act = kActivations[round % 4];
      Draw draw(static_cast<uint32_t>(s.t * 7919 + s.k * 31 + s.n));
      const Weight w = Make(draw, weight, s.n, s.k);
      const HostTensor src = draw.Tensor(src_dtype, {s.t, s.k}, 3),
                       bias = draw.Tensor(weight, {s.n});
      LinearSource tested{{w.tested.view()}, {}}, exact{{w.exact.view()}, {}};
      tested.coarsest = exact.coarsest = Precision::kInt8;
      tested.copies = std::array{Copies::kAll, Copies::kNone, Copies::kInt8}[round % 3];
      if (round++ % 3 != 0) {
        tested.bias.push_back(bias.view());
        exact.bias.push_back(bias.view());
      }
      CheckLinear(fmt::format("[{},{}]x[{},{}] {}", s.t, s.k, s.n, s.k, Name(weight)), src, tested,
                  exact, act, dst_dtype);
    }
  }
}

// dst += gate * y, where y is off by Roundings; one rounding of the product, one of the sum.
TEST_P(Int8Test, LinearGatedAdd) {
  for (const Sizes& s : kSizes) {
    Draw draw(5);
    const Weight w = Make(draw, DType::kBF16, s.n, s.k);
    const HostTensor src = draw.Tensor(DType::kF32, {s.t, s.k}),
                     gate = draw.Tensor(DType::kF32, {s.n});
    const Values before = draw(DType::kF32, s.t * s.n), g = gate.values();
    LinearSource tested{{w.tested.view()}, {}}, exact{{w.exact.view()}, {}};
    tested.coarsest = exact.coarsest = Precision::kInt8;
    const auto a = Prepared(*ops, tested), b = Prepared(*oracle, exact);
    HostTensor got(DType::kF32, {s.t, s.n}, before, 2), want(DType::kF32, {s.t, s.n}, before);
    ops->LinearGatedAdd(src.view(), *a, gate.view(), got.view());
    oracle->LinearGatedAdd(src.view(), *b, gate.view(), want.view());
    Values bound = Magnitudes(src, *b);
    const Values total = want.values();
    for (size_t i = 0; i < bound.size(); ++i) {
      bound[i] =
          std::abs(g[i % static_cast<size_t>(s.n)] * bound[i]) * (Roundings(s.k) + 2 * kU32) +
          2 * kU32 * (std::abs(total[i]) + std::abs(before[i]));
    }
    Compare("LinearGatedAdd, int8", fmt::format("[{},{}]x[{},{}]", s.t, s.k, s.n, s.k), got, total,
            bound);
  }
}

// The largest sums of two neighbouring products that there can be: neighbours of one sign, whose
// scale follows their sum; neighbours of opposite signs, where each may be 127.
TEST_P(Int8Test, NothingSaturates) {
  for (int64_t k : {2, 64, 4098}) {  // the last in two slices
    for (int signs = 0; signs < 16; ++signs) {
      Values x, w;
      for (int64_t i = 0; i < k; ++i) {
        x.push_back((signs >> (i % 2) & 1) != 0 ? 1.0 : -1.0);
        w.push_back((signs >> (2 + i % 2) & 1) != 0 ? 1.0 : -1.0);
      }
      const HostTensor src(DType::kF32, {1, k}, x), weight(DType::kF32, {1, k}, w);
      LinearSource source{{weight.view()}, {}};
      source.coarsest = Precision::kInt8;
      CheckLinear(fmt::format("signs {}", signs), src, source, source, Activation::kNone,
                  DType::kF32);
    }
  }
}

// Parts of any length, of several dtypes, and in 8 bits already.
TEST_P(Int8Test, OfRowParts) {
  constexpr int64_t kK = 512, kPackedRows = 40;
  Draw draw(9);
  const Weight w = Make(draw, DType::kF32, 21, kK);
  const HostTensor src = draw.Tensor(DType::kF32, {31, kK}),
                   top = draw.Tensor(DType::kBF16, {3, kK});
  std::vector<float> values;
  for (double v : draw(DType::kF32, kPackedRows * kK)) values.push_back(static_cast<float>(v));
  std::vector<int8_t> q(48 * kK);
  std::vector<float> scale(48);
  std::vector<int32_t> sums(48);
  for (int64_t r = 0; r < kPackedRows; r += 16) {
    float* rows[16];
    const int64_t count = std::min<int64_t>(16, kPackedRows - r);
    for (int64_t i = 0; i < count; ++i) rows[i] = values.data() + (r + i) * kK;
    int64_t bad = 0;
    ASSERT_TRUE(EncodeInt8Block(rows, count, kK, 256, q.data() + r * kK, scale.data() + r,
                                sums.data() + r, &bad));
  }
  const auto packed = std::make_shared<PackedInt8>(
      kPackedRows, kK, PackedInt8::Parts{q.data(), scale.data(), sums.data(), 256});
  const WeightRows whole(packed, {kPackedRows, kK});
  LinearSource tested{{top.view(), whole.Rows(16, 40), w.tested.view()}, {}};
  LinearSource exact{{top.view(), whole.Rows(16, 40), w.exact.view()}, {}};
  tested.coarsest = exact.coarsest = Precision::kInt8;
  CheckLinear("parts", src, tested, exact, Activation::kNone, DType::kF32);
  // From the middle of a block on: encoded again, which is no round trip bit for bit.
  tested.weight[1] = exact.weight[1] = whole.Rows(5, 33);
  const auto again = Prepared(*ops, tested), plain = Prepared(*oracle, exact);
  HostTensor got(DType::kF32, {31, 52}), want(DType::kF32, {31, 52});
  ops->Linear(src.view(), *again, Activation::kNone, got.view());
  oracle->SetPrecision(Precision::kExact);
  oracle->Linear(src.view(), *plain, Activation::kNone, want.view());
  // Coarse: that the right rows were taken is what matters here.
  EXPECT_LE(RelativeError(got.values(), want.values()), 0.05);
}

// A branch sees the activations as they are.
TEST_P(Int8Test, LowRankBranches) {
  constexpr int64_t kT = 40, kK = 256, kN = 48, kR = 5;
  Draw draw(11);
  const Weight w = Make(draw, DType::kBF16, kN, kK);
  const HostTensor src = draw.Tensor(DType::kF32, {kT, kK}),
                   down = draw.Tensor(DType::kF32, {kR, kK}),
                   up = draw.Tensor(DType::kF32, {20, kR});
  LinearSource tested{{w.tested.view()}, {}, {{down.view(), up.view(), 9, 0.5f}}};
  LinearSource exact{{w.exact.view()}, {}, {{down.view(), up.view(), 9, 0.5f}}};
  tested.coarsest = exact.coarsest = Precision::kInt8;
  // No number is above 1: a branch's is at most 0.5 * R * K, off by (2 K + R + 3) roundings, and
  // where activations are bf16 by the narrowing of three operands.
  const double roundings = static_cast<double>(2 * kK + kR + 3) * kU32 + 3 * Narrowing(DType::kF32);
  CheckLinear("branches", src, tested, exact, Activation::kGeluTanh, DType::kF32,
              0.5 * kR * kK * roundings);
}

// What may not be coarser stays exact, and so does everything when it is not asked for.
TEST_P(Int8Test, OnlyWhereBothAllowIt) {
  Draw draw(13);
  const HostTensor src = draw.Tensor(DType::kF32, {9, 256}),
                   weight = draw.Tensor(DType::kF32, {30, 256});
  LinearSource source{{weight.view()}, {}};
  const auto run = [&](Precision coarsest, Precision asked) {
    source.coarsest = coarsest;
    const auto w = Prepared(*ops, source);
    ops->SetPrecision(asked);
    HostTensor dst(DType::kF32, {9, 30});
    ops->Linear(src.view(), *w, Activation::kNone, dst.view());
    ExpectOk("run");
    return dst.values();
  };
  const Values exact = run(Precision::kExact, Precision::kExact);
  EXPECT_EQ(run(Precision::kExact, Precision::kInt8), exact);
  EXPECT_EQ(run(Precision::kInt8, Precision::kExact), exact);
  EXPECT_NE(run(Precision::kInt8, Precision::kInt8), exact);
}

// Values that are not finite stay visible; a row of zeros gives the bias.
TEST_P(Int8Test, RowsThatAreNotNumbers) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (int64_t k : {64, 256}) {
    Draw draw(17);
    const HostTensor weight = draw.Tensor(DType::kF32, {5, k}),
                     bias = draw.Tensor(DType::kF32, {5});
    LinearSource source{{weight.view()}, {bias.view()}};
    source.coarsest = Precision::kInt8;
    const auto w = Prepared(*ops, source);
    Values x = draw(DType::kF32, 4 * k);
    x[3] = std::numeric_limits<double>::quiet_NaN();
    x[static_cast<size_t>(k + 7)] = static_cast<double>(kInf);
    std::fill_n(x.begin() + 2 * k, k, 0.0);
    const HostTensor src(DType::kF32, {4, k}, x);
    HostTensor dst(DType::kF32, {4, 5});
    ops->Linear(src.view(), *w, Activation::kNone, dst.view());
    const Values y = dst.values(), b = bias.values();
    for (size_t n = 0; n < 5; ++n) {
      EXPECT_FALSE(std::isfinite(y[n])) << n;
      EXPECT_FALSE(std::isfinite(y[5 + n])) << n;
      EXPECT_EQ(y[10 + n], b[n]) << n;
      EXPECT_TRUE(std::isfinite(y[15 + n])) << n;
    }
    const HostTensor broken(DType::kF32, {1, k},
                            Values(static_cast<size_t>(k), static_cast<double>(kInf)));
    LinearSource bad{{broken.view()}, {}};
    bad.coarsest = Precision::kInt8;
    if (ops->name() != "cpu") continue;
    const auto refused = Prepared(*ops, bad);
    HostTensor one(DType::kF32, {4, 1});
    ops->Linear(src.view(), *refused, Activation::kNone, one.view());
    EXPECT_NE(ops->TakeStatus().message().find("row 0 of a weight"), std::string::npos);
  }
}

// Mean square of the rounding errors of rows [n, K] in 8 bits, with a scale for `slice` columns,
// over that of their values: a rounding to multiples of s is off by s^2 / 12 on average.
double RoundingOf(const Values& values, int64_t k, int64_t slice, bool pairs) {
  double errors = 0, squares = 0;
  for (size_t begin = 0; begin < values.size(); begin += static_cast<size_t>(k)) {
    std::vector<float> row;
    for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
      row.push_back(static_cast<float>(values[begin + i]));
    }
    for (int64_t i = 0; i < k; i += kRotationGroup) RotateGroup(row.data() + i);
    for (int64_t first = 0; first < k; first += slice) {
      double largest = 0;
      for (int64_t i = first; i < first + slice; i += 2) {
        const double a = static_cast<double>(row[static_cast<size_t>(i)]),
                     b = static_cast<double>(row[static_cast<size_t>(i + 1)]);
        largest = std::max({largest, std::abs(a), std::abs(b), pairs ? std::abs(a + b) : 0.0});
        squares += a * a + b * b;
      }
      errors += static_cast<double>(slice) * largest * largest / (127.0 * 127.0 * 12.0);
    }
  }
  return errors / squares;
}

// How far 8 bits are from exact at FLUX's widths, for normal activations and uniform weights (which
// the rotation makes nearly normal); relative, in the 2-norm. 2560 results tell the size of their
// error to 1 / sqrt(2 * 2560) = 1.4 %; six times that for chance.
TEST_P(Int8Test, ErrorAtFullWidth) {
  constexpr int64_t kRows = 40, kFeatures = 64;
  for (int64_t k : {3072, 12288, 15360}) {
    Draw draw(static_cast<uint32_t>(k));
    Values x;
    for (int64_t i = 0; i < kRows * k; ++i) {
      double sum = 0;  // of 12 uniform numbers: nearly normal, variance 4
      for (double u : draw(DType::kF32, 12)) sum += u;
      x.push_back(sum);
    }
    const HostTensor src(DType::kF32, {kRows, k}, x),
        weight = draw.Tensor(DType::kBF16, {kFeatures, k});
    LinearSource source{{weight.view()}, {}};
    source.coarsest = Precision::kInt8;
    const auto tested = Prepared(*ops, source), exact = Prepared(*oracle, source);
    oracle->SetPrecision(Precision::kExact);
    HostTensor got(DType::kF32, {kRows, kFeatures}), want(DType::kF32, {kRows, kFeatures});
    ops->Linear(src.view(), *tested, Activation::kNone, got.view());
    oracle->Linear(src.view(), *exact, Activation::kNone, want.view());
    ExpectOk("full width");
    const double error = RelativeError(got.values(), want.values());
    const double foretold = std::sqrt(RoundingOf(src.values(), k, kInt8Slice, true) +
                                      RoundingOf(weight.values(), k, k, false));
    fmt::print("int8, K {}: relative error {:.2f} %, foretold {:.2f} %\n", k, 100 * error,
               100 * foretold);
    EXPECT_LE(error, foretold * (1 + 6 * 0.014));
    EXPECT_LE(foretold, 0.015);  // the aim for every product of a block
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Int8Test, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
