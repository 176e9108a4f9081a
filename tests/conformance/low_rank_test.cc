// Linear and LinearGatedAdd with low-rank branches (LowRank in ops.h). Bound: as linear_test.cc,
// where a branch's numbers pass through two sums, of K and of all ranks, and a rounding of its
// factor.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <list>

#include "compute/cpu/cpu_features.h"
#include "conformance/harness.h"

namespace kontext::conformance {
namespace {

struct Sizes {
  int64_t t, k, n;
};
constexpr Sizes kSizes[] = {{1, 1, 2}, {3, 7, 17}, {33, 63, 65}, {5, 255, 63}, {129, 300, 48}};

// One branch over all features, one over some of them, one of a rank beyond a slice of the sums.
struct Rank {
  int64_t rank, first_row, rows_divisor;
  float factor;
};
constexpr Rank kRanks[] = {{4, 0, 1, 0.75f}, {1, 1, 2, -1.5f}, {261, 0, 1, 0.25f}};

bool ByLibrary(const Config& config) {
  return config.backend == "cpu" &&
         cpu::PlanFor(*cpu::UsableCpuFeatures(), config.dtype).path == cpu::ProductPath::kLibrary;
}

class LowRankTest : public Conformance {
 protected:
  // The weights of one product for the backend under test and for the reference, and, all numbers
  // made positive, for the size of the terms.
  struct Product {
    std::unique_ptr<LinearWeights> tested, exact, size;
    double roundings = 0;
  };

  Product Make(const Sizes& s, DType dtype, bool bias) {
    Draw draw(static_cast<uint32_t>(s.t * 7919 + s.k * 31 + s.n));
    LinearSource source, positive;
    Add(source.weight, positive.weight, draw.Tensor(dtype, {s.n, s.k}));
    if (bias) Add(source.bias, positive.bias, draw.Tensor(dtype, {s.n}));
    int64_t ranks = 0;
    for (const Rank& r : kRanks) {
      const int64_t rows = std::max(s.n / r.rows_divisor, int64_t{1});
      std::vector<ConstTensorView> own, absolute;
      Add(own, absolute, draw.Tensor(dtype, {r.rank, s.k}));
      Add(own, absolute, draw.Tensor(dtype, {rows, r.rank}));
      source.low_rank.push_back({own[0], own[1], r.first_row, r.factor});
      positive.low_rank.push_back({absolute[0], absolute[1], r.first_row, std::abs(r.factor)});
      ranks += r.rank;
    }
    Product p;
    p.tested = Prepared(*ops, source);
    p.exact = Prepared(*oracle, source);
    p.size = Prepared(*oracle, positive);
    p.roundings = static_cast<double>(2 * s.k + ranks + 3) * kU32 + Narrowing(dtype);
    return p;
  }

  Values Exactly(const ConstTensorView& src, const LinearWeights& w, Activation act,
                 const Sizes& s) {
    HostTensor dst(DType::kF32, {s.t, s.n});
    oracle->Linear(src, w, act, dst.view());
    return dst.values();
  }

 private:
  static std::unique_ptr<LinearWeights> Prepared(Ops& o, const LinearSource& source) {
    auto w = o.PrepareLinear(source);
    EXPECT_TRUE(w.ok()) << w.message();
    return std::move(*w);
  }
  // The tensor, and one of the sizes of its numbers; kept until the test ends.
  template <class View>
  void Add(std::vector<View>& own, std::vector<View>& absolute, HostTensor tensor) {
    const ConstTensorView view = std::as_const(tensor).view();
    kept_.emplace_back(view.dtype(), view.shape(), Abs(tensor.values()));
    absolute.push_back(std::as_const(kept_.back()).view());
    kept_.push_back(std::move(tensor));
    own.push_back(std::as_const(kept_.back()).view());
  }

  std::list<HostTensor> kept_;
};

TEST_P(LowRankTest, Linear) {
  int round = 0;
  for (const Sizes& s : kSizes) {
    for (DType src_dtype : kActivationDtypes) {
      for (DType weight : kWeightDtypes) {
        const Activation act = kActivations[round % 4];
        const Product p = Make(s, weight, round++ % 2 == 0);
        Draw draw(3);
        const HostTensor src = draw.Tensor(src_dtype, {s.t, s.k}, 3);
        const HostTensor abs_src(src_dtype, {s.t, s.k}, Abs(src.values()));
        HostTensor dst(DType::kF32, {s.t, s.n}, 5);
        ops->Linear(src.view(), *p.tested, act, dst.view());
        const Values sum = Exactly(src.view(), *p.exact, Activation::kNone, s);
        Values bound = Exactly(abs_src.view(), *p.size, Activation::kNone, s);
        for (size_t i = 0; i < bound.size(); ++i) {
          bound[i] = ActivationBound(act, sum[i], (p.roundings + Narrowing(src_dtype)) * bound[i]);
        }
        Compare("Linear, low rank",
                fmt::format("[{},{}]x[{},{}] {} {} act {}", s.t, s.k, s.n, s.k, Name(src_dtype),
                            Name(weight), static_cast<int>(act)),
                dst, Exactly(src.view(), *p.exact, act, s), bound);
      }
    }
  }
}

// dst += gate * y: y's error times the gate, one rounding of the product, one of the sum.
TEST_P(LowRankTest, LinearGatedAdd) {
  for (const Sizes& s : kSizes) {
    const Product p = Make(s, DType::kBF16, true);
    Draw draw(4);
    const HostTensor src = draw.Tensor(DType::kF32, {s.t, s.k}),
                     gate = draw.Tensor(DType::kF32, {s.n});
    const HostTensor abs_src(DType::kF32, {s.t, s.k}, Abs(src.values()));
    const Values before = draw(DType::kF32, s.t * s.n), g = gate.values();
    HostTensor dst(DType::kF32, {s.t, s.n}, before, 2), want(DType::kF32, {s.t, s.n}, before);
    ops->LinearGatedAdd(src.view(), *p.tested, gate.view(), dst.view());
    oracle->LinearGatedAdd(src.view(), *p.exact, gate.view(), want.view());
    const Values sum = Exactly(src.view(), *p.exact, Activation::kNone, s), total = want.values();
    Values bound = Exactly(abs_src.view(), *p.size, Activation::kNone, s);
    for (size_t i = 0; i < bound.size(); ++i) {
      const double error =
          (p.roundings + Narrowing(DType::kF32)) * bound[i] + 2 * kU32 * std::abs(sum[i]);
      bound[i] = std::abs(g[i % static_cast<size_t>(s.n)]) * error + 2 * kU32 * std::abs(total[i]);
    }
    Compare("LinearGatedAdd, low rank", fmt::format("[{},{}]x[{},{}]", s.t, s.k, s.n, s.k), dst,
            total, bound);
  }
}

// What products with branches leave the backend with is at most what it says beforehand. (Without
// branches it would say less: memory_test.cc.)
TEST_P(LowRankTest, ScratchIsForetold) {
  if (ByLibrary(GetParam())) GTEST_SKIP() << "oneDNN's own scratchpads are not foretold";
  std::vector<OpSizes> met;
  for (const Sizes& s : kSizes) {
    const Product p = Make(s, DType::kBF16, true);
    Draw draw(5);
    const HostTensor src = draw.Tensor(DType::kF32, {s.t, s.k}),
                     gate = draw.Tensor(DType::kF32, {s.n});
    HostTensor dst(DType::kF32, {s.t, s.n}, draw(DType::kF32, s.t * s.n));
    ops->Linear(src.view(), *p.tested, Activation::kNone, dst.view());
    ops->LinearGatedAdd(src.view(), *p.tested, gate.view(), dst.view());
    met.push_back({.rows = s.t, .in = s.k, .out = s.n, .results = s.t * s.n});
    EXPECT_LE(ops->HeldScratchBytes(), ops->ScratchBytes(met)) << s.t << " " << s.k << " " << s.n;
  }
}

TEST_P(LowRankTest, RefusesBranchesThatDoNotFit) {
  const HostTensor weight(DType::kF32, {4, 3}), down(DType::kF32, {2, 3}), up(DType::kF32, {4, 2}),
      wide(DType::kF32, {2, 5}), flat(DType::kF32, {4, 3});
  const auto refused = [&](const LowRank& branch) {
    LinearSource source{{weight.view()}, {}};
    source.low_rank = {branch};
    return ops->PrepareLinear(source).message();
  };
  EXPECT_THAT(refused({wide.view(), up.view()}), testing::HasSubstr("down"));
  EXPECT_THAT(refused({down.view(), flat.view()}), testing::HasSubstr("up"));
  EXPECT_THAT(refused({down.view(), up.view(), 1}), testing::HasSubstr("rows [1,5)"));
  EXPECT_THAT(refused({down.view(), up.view(), -1}), testing::HasSubstr("rows [-1,3)"));
}

INSTANTIATE_TEST_SUITE_P(Backends, LowRankTest, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
