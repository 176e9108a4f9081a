// ModulatedLinear, Linear of (1 + scale) * LayerNorm(src) + shift, and ModulatedMlp, which begins
// with one.
#include <fmt/format.h>

#include <limits>

#include "conformance/harness.h"

namespace kontext::conformance {
namespace {

struct Sizes {
  int64_t t, k, n;
};
constexpr Sizes kSizes[] = {{1, 1, 1},   {3, 3, 7},      {7, 17, 33},  {33, 63, 65},
                            {5, 256, 3}, {129, 64, 272}, {2, 1024, 33}};
constexpr float kEps = 1e-6f;

// One product and its modulation, for the backend under test and for the reference.
struct Case {
  HostTensor src, shift, scale, weight, tested_weight;
  std::unique_ptr<LinearWeights> tested = nullptr, exact = nullptr;

  RowModulation modulation() const { return {shift.view(), scale.view(), kEps}; }
};

class ModulatedLinearTest : public Conformance {
 protected:
  Case Make(const Sizes& s, DType src, DType weight, Precision coarsest, int64_t gap) {
    Draw draw(static_cast<uint32_t>(s.t * 7919 + s.k * 31 + s.n));
    const Values values = draw(weight, s.n * s.k);
    Values tested = values;
    if (Nudged()) tested.back() += 0.02;
    const Shape shape = {s.n, s.k};
    Case c{.src = draw.Tensor(src, {s.t, s.k}, gap, gap == 0 ? 1.0 : 0.0),
           .shift = draw.Tensor(DType::kF32, {s.k}),
           .scale = draw.Tensor(DType::kF32, {s.k}),
           .weight = HostTensor(weight, shape, values),
           .tested_weight = HostTensor(weight, shape, tested)};
    c.tested = Prepared(*ops, c.tested_weight, coarsest);
    c.exact = Prepared(*oracle, c.weight, coarsest);
    return c;
  }

  static std::unique_ptr<LinearWeights> Prepared(Ops& o, const HostTensor& weight,
                                                 Precision coarsest) {
    LinearSource source{{weight.view()}, {}};
    source.coarsest = coarsest;
    auto w = o.PrepareLinear(source);
    EXPECT_TRUE(w.ok()) << w.message();
    return std::move(*w);
  }

  // (1 + scale) * LayerNorm(src) + shift in f32, by a backend's LayerNorm.
  static HostTensor ModulatedRows(Ops& o, const Case& c) {
    Values factor = c.scale.values();
    for (double& f : factor) f = static_cast<double>(1.0f + static_cast<float>(f));
    const HostTensor weight(DType::kF32, c.scale.view().shape(), factor);
    HostTensor rows(DType::kF32, c.src.view().shape());
    o.LayerNorm(c.src.view(), weight.view(), c.shift.view(), kEps, rows.view());
    return rows;
  }
};

// What a modulated row may be off by: n's error times 1 + |scale|, and, twice, as the oracle
// composes it in f32 itself, 3 roundings of values no larger than (1 + |scale|) |n| + |shift|; then
// the narrowing for the product. |n| is at most sqrt(K).
Values RowBound(const Case& c, const Values& src_row, const double* row, double narrowing) {
  Values bound = NormalisedBound(src_row, static_cast<double>(kEps));
  const Values shifts = c.shift.values(), scales = c.scale.values();
  const double most = std::sqrt(static_cast<double>(bound.size()));
  for (size_t k = 0; k < bound.size(); ++k) {
    const double factor = 1 + std::abs(scales[k]);
    bound[k] = factor * bound[k] + 6 * kU32 * (factor * most + std::abs(shifts[k])) +
               narrowing * std::abs(row[k]);
  }
  return bound;
}

TEST_P(ModulatedLinearTest, InF32AndBf16) {
  int round = 0;
  for (const Sizes& s : kSizes) {
    for (DType src : kActivationDtypes) {
      for (DType dst_dtype : kActivationDtypes) {
        const DType weight = kWeightDtypes[round % 3];
        const Activation act = kActivations[round % 4];
        const Case c = Make(s, src, weight, Precision::kExact, round++ % 2 * 3);
        HostTensor dst(dst_dtype, {s.t, s.n}, 2), want(DType::kF32, {s.t, s.n}),
            sum(DType::kF32, {s.t, s.n});
        ops->ModulatedLinear(c.src.view(), c.modulation(), *c.tested, act, dst.view());
        oracle->ModulatedLinear(c.src.view(), c.modulation(), *c.exact, act, want.view());
        oracle->ModulatedLinear(c.src.view(), c.modulation(), *c.exact, Activation::kNone,
                                sum.view());
        const Values rows = ModulatedRows(*oracle, c).values(), x = c.src.values(),
                     w = c.weight.values(), sums = sum.values();
        const double roundings = static_cast<double>(s.k) * kU32 + Narrowing(weight);
        Values bound;
        for (int64_t t = 0; t < s.t; ++t) {
          const Values off = RowBound(c, Values(x.begin() + t * s.k, x.begin() + (t + 1) * s.k),
                                      rows.data() + t * s.k, Narrowing(DType::kF32));
          for (int64_t n = 0; n < s.n; ++n) {
            double error = 0;
            for (int64_t k = 0; k < s.k; ++k) {
              error += std::abs(w[static_cast<size_t>(n * s.k + k)]) *
                       (off[static_cast<size_t>(k)] +
                        roundings * std::abs(rows[static_cast<size_t>(t * s.k + k)]));
            }
            bound.push_back(ActivationBound(act, sums[static_cast<size_t>(t * s.n + n)], error));
          }
        }
        Compare("ModulatedLinear",
                fmt::format("[{},{}]x[{},{}] {} {} -> {} act {}", s.t, s.k, s.n, s.k, Name(src),
                            Name(weight), Name(dst_dtype), static_cast<int>(act)),
                dst, want.values(), bound);
      }
    }
  }
}

// In 8 bits a digit may turn on a rounding of the norm, so that no bound against another backend
// would be tight. The cpu backend norms rows while it packs them: to the same digits, bit for bit,
// as if they had been normed before.
TEST_P(ModulatedLinearTest, In8BitsAsTheTwoOps) {
  if (ops->name() != "cpu") GTEST_SKIP() << "its body is the two ops";
  ops->SetPrecision(Precision::kInt8);
  for (const Sizes& s : kSizes) {
    for (DType src : kActivationDtypes) {
      const Case c = Make(s, src, DType::kBF16, Precision::kInt8, 3);
      HostTensor got(DType::kF32, {s.t, s.n}), want(DType::kF32, {s.t, s.n});
      ops->ModulatedLinear(c.src.view(), c.modulation(), *c.tested, Activation::kGeluTanh,
                           got.view());
      ops->Linear(ModulatedRows(*ops, c).view(), *Prepared(*ops, c.weight, Precision::kInt8),
                  Activation::kGeluTanh, want.view());
      CompareExactly("ModulatedLinear, int8",
                     fmt::format("[{},{}]x[{},{}] {}", s.t, s.k, s.n, s.k, Name(src)), got, want);
    }
  }
}

// With a branch, which reads the modulated rows too: what the branch adds is its own product's.
TEST_P(ModulatedLinearTest, In8BitsWithABranch) {
  constexpr int64_t kT = 40, kK = 256, kN = 48, kR = 5;
  ops->SetPrecision(Precision::kInt8);
  const Case c = Make({kT, kK, kN}, DType::kF32, DType::kBF16, Precision::kInt8, 0);
  Draw draw(3);
  const HostTensor down = draw.Tensor(DType::kF32, {kR, kK}),
                   up = draw.Tensor(DType::kF32, {kN, kR});
  LinearSource source{{c.weight.view()}, {}, {{down.view(), up.view(), 0, 0.5f}}};
  source.coarsest = Precision::kInt8;
  auto with = ops->PrepareLinear(source);
  ASSERT_TRUE(with.ok()) << with.message();
  HostTensor got(DType::kF32, {kT, kN}), plain(DType::kF32, {kT, kN});
  ops->ModulatedLinear(c.src.view(), c.modulation(), **with, Activation::kNone, got.view());
  const HostTensor rows = ModulatedRows(*oracle, c);
  ops->Linear(rows.view(), **with, Activation::kNone, plain.view());
  ExpectOk("branch");
  // Two ways to the same rows, in f32 or in bf16: digits differ by one where that turns them, an
  // 8-bit product's own error (ErrorAtFullWidth: 1.5 %) at most.
  EXPECT_LE(RelativeError(got.values(), plain.values()), 0.015);
  HostTensor without(DType::kF32, {kT, kN});
  ops->Linear(rows.view(), *c.tested, Activation::kNone, without.view());
  EXPECT_GE(RelativeError(without.values(), plain.values()), 0.15);  // the branch is there at all
}

TEST_P(ModulatedLinearTest, RowsThatAreNotNumbers) {
  constexpr int64_t kK = 256, kN = 5;
  for (Precision precision : {Precision::kExact, Precision::kInt8}) {
    ops->SetPrecision(precision);
    const Case c = Make({3, kK, kN}, DType::kF32, DType::kF32, Precision::kInt8, 0);
    Values x = c.src.values();
    x[3] = std::numeric_limits<double>::quiet_NaN();
    x[kK + 7] = std::numeric_limits<double>::infinity();
    const HostTensor src(DType::kF32, {3, kK}, x);
    HostTensor dst(DType::kF32, {3, kN});
    ops->ModulatedLinear(src.view(), c.modulation(), *c.tested, Activation::kNone, dst.view());
    const Values y = dst.values();
    for (size_t n = 0; n < kN; ++n) {
      EXPECT_FALSE(std::isfinite(y[n])) << n;
      EXPECT_FALSE(std::isfinite(y[kN + n])) << n;
      EXPECT_TRUE(std::isfinite(y[2 * kN + n])) << n;
    }
  }
}

// The MLP's formula by other ops: the hidden columns by ModulatedLinear, in f32, then
// LinearGatedAdd. `beside` columns lie before the hidden ones. In 8 bits the cpu backend makes the
// same digits of the same numbers; else it is these two ops, as in the reference.
TEST_P(ModulatedLinearTest, MlpIsItsTwoProducts) {
  struct MlpSizes {
    int64_t t, d, beside, hidden;
  };
  // Both of FLUX's kinds (no columns beside, and whole slices of them), rows beyond a task, a chunk
  // and a panel, hidden slices beyond the first, columns beside that share a slice.
  constexpr MlpSizes kMlps[] = {{1, 4, 0, 8},      {100, 64, 0, 512},         {7, 256, 3072, 512},
                                {13, 64, 0, 3328}, {3, 256, 3072, 3072 + 64}, {9, 64, 64, 256},
                                {1600, 16, 0, 48}};
  for (Precision precision : {Precision::kExact, Precision::kInt8}) {
    ops->SetPrecision(precision);
    for (const MlpSizes& s : kMlps) {
      const Case in = Make({s.t, s.d, s.hidden}, DType::kF32, DType::kBF16, Precision::kInt8, 3);
      Draw draw(static_cast<uint32_t>(s.t));
      const int64_t columns = s.beside + s.hidden;
      const HostTensor out_weight = draw.Tensor(DType::kBF16, {s.d, columns}),
                       gate = draw.Tensor(DType::kF32, {s.d});
      const auto out = Prepared(*ops, out_weight, Precision::kInt8);
      const Values beside = draw(DType::kF32, s.t * columns), x = in.src.values();
      HostTensor got(DType::kF32, {s.t, s.d}, x, 2), want(DType::kF32, {s.t, s.d}, x);
      HostTensor operand(DType::kF32, {s.t, columns}, beside, 1),
          two(DType::kF32, {s.t, columns}, beside);
      ops->ModulatedMlp(operand.view(), in.modulation(), *in.tested, *out, gate.view(), got.view());
      ops->ModulatedLinear(want.view(), in.modulation(), *in.tested, Activation::kGeluTanh,
                           two.view().Cols(s.beside, columns));
      ops->LinearGatedAdd(two.view(), *out, gate.view(), want.view());
      CompareExactly("ModulatedMlp",
                     fmt::format("[{},{}] {}+{} {}", s.t, s.d, s.beside, s.hidden,
                                 precision == Precision::kInt8 ? "int8" : "exact"),
                     got, want);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ModulatedLinearTest, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
