// Attention with Precision::kInt8 (ops.h) against the same formula in plain loops, and against the
// exact one. Digits of queries, keys and values must be equal; a probability may round to the next
// digit.
#include <fmt/format.h>

#include <limits>

#include "compute/cpu/amx_attention.h"
#include "compute/cpu/cpu_features.h"
#include "conformance/harness.h"

namespace kontext::conformance {
namespace {

constexpr double kLog2E = 1.4426950408889634;

struct Case {
  int64_t heads, queries, keys, channels;
};
constexpr Case kCases[] = {{1, 1, 1, 8},    {2, 17, 5, 20},   {1, 15, 191, 32},  {2, 65, 192, 64},
                           {1, 16, 193, 6}, {3, 70, 385, 18}, {1, 129, 400, 128}};

class Int8AttentionTest : public Conformance {
 protected:
  void SetUp() override {
    Conformance::SetUp();
    ops->SetPrecision(Precision::kInt8);
    oracle->SetPrecision(Precision::kInt8);
  }

  static AttentionOptions Options(int64_t channels, Precision coarsest = Precision::kInt8) {
    AttentionOptions o;
    o.scale = 1.0f / std::sqrt(static_cast<float>(channels));
    o.coarsest = coarsest;
    return o;
  }

  // Where the processor attends exactly at no cost, in 8 bits is as in exact precision.
  static bool AttendsExactly(DType in, int64_t channels) {
    return GetParam().backend == "cpu" && in == DType::kBF16 && cpu::AmxAttentionTakes(channels) &&
           cpu::PlanFor(*cpu::UsableCpuFeatures(), GetParam().dtype).path == cpu::ProductPath::kAmx;
  }

  // The values for the backend under test: the twin's last one differs.
  static HostTensor Tested(const HostTensor& v, DType dtype, const Case& c) {
    Values values = v.values();
    if (Nudged()) values.back() += 2;
    return HostTensor(dtype, {c.heads, c.keys, c.channels}, values);
  }
};

// sum_j weight[j] * |v[j] - out| for every element of the result.
Values Spread(const Case& c, const Values& v, const Values& out, const Values& weights) {
  Values spread(out.size());
  for (int64_t h = 0; h < c.heads; ++h) {
    for (int64_t i = 0; i < c.queries; ++i) {
      for (int64_t d = 0; d < c.channels; ++d) {
        const auto at = static_cast<size_t>((i * c.heads + h) * c.channels + d);
        for (int64_t j = 0; j < c.keys; ++j) {
          spread[at] +=
              weights[static_cast<size_t>((h * c.queries + i) * c.keys + j)] *
              std::abs(v[static_cast<size_t>((h * c.keys + j) * c.channels + d)] - out[at]);
        }
      }
    }
  }
  return spread;
}

// How much each probability's digit may weigh in its row: one digit, relative to the sum of all.
// With p' >= 0.97 p (scores are off by less than 0.04 in the exponent) the sums of digits are at
// least 0.97 * 255 of the exact softmax's, relative to each block's largest.
Values DigitWeights(const Case& c, const Values& q, const Values& k, double scale) {
  Values weights;
  for (int64_t h = 0; h < c.heads; ++h) {
    for (int64_t i = 0; i < c.queries; ++i) {
      Values s;
      for (int64_t j = 0; j < c.keys; ++j) {
        double dot = 0;
        for (int64_t d = 0; d < c.channels; ++d) {
          dot += q[static_cast<size_t>((h * c.queries + i) * c.channels + d)] *
                 k[static_cast<size_t>((h * c.keys + j) * c.channels + d)];
        }
        s.push_back(kLog2E * scale * dot);
      }
      double sum = 0;
      for (const double x : s) sum += std::exp2(x);
      for (int64_t b = 0; b < c.keys; b += kInt8AttentionKeys) {
        const int64_t end = std::min(b + kInt8AttentionKeys, c.keys);
        const double block_max = *std::max_element(s.begin() + b, s.begin() + end);
        weights.insert(weights.end(), static_cast<size_t>(end - b),
                       std::exp2(block_max) / (0.97 * 255 * sum));
      }
    }
  }
  return weights;
}

TEST_P(Int8AttentionTest, AgreesWithThePlainLoops) {
  uint32_t round = 0;
  for (const Case& c : kCases) {
    for (DType in : kActivationDtypes) {
      if (AttendsExactly(in, c.channels)) continue;
      Draw draw(++round);
      const int64_t gap = round % 2 == 0 ? 8 : 0;
      const HostTensor q = draw.Tensor(in, {c.heads, c.queries, c.channels}, gap),
                       k = draw.Tensor(in, {c.heads, c.keys, c.channels}, gap, 0.5),
                       v = draw.Tensor(in, {c.heads, c.keys, c.channels}, gap);
      const AttentionOptions o = Options(c.channels);
      const Shape shape = {c.queries, c.heads * c.channels};
      HostTensor want(DType::kF32, shape);
      oracle->Attention(q.view(), k.view(), v.view(), o, want.view());
      const Values weights = DigitWeights(c, q.values(), k.values(), static_cast<double>(o.scale));
      Values bound = Spread(c, v.values(), want.values(), weights);
      for (double& x : bound) x += 16 * kU32;  // float sums and scales of values below 1
      for (DType out : kActivationDtypes) {
        HostTensor dst(out, shape, gap);
        ops->Attention(q.view(), k.view(), Tested(v, in, c).view(), o, dst.view());
        Compare("Attention, int8",
                fmt::format("H {} Tq {} Tk {} Dh {} {} -> {}", c.heads, c.queries, c.keys,
                            c.channels, Name(in), Name(out)),
                dst, want.values(), bound);
      }
    }
  }
}

TEST_P(Int8AttentionTest, IsExactWhereThatCostsNothing) {
  constexpr Case c{3, 70, 385, 64};
  if (!AttendsExactly(DType::kBF16, c.channels)) GTEST_SKIP() << "not on this processor";
  Draw draw(4);
  const HostTensor q = draw.Tensor(DType::kBF16, {c.heads, c.queries, c.channels}),
                   k = draw.Tensor(DType::kBF16, {c.heads, c.keys, c.channels}),
                   v = draw.Tensor(DType::kBF16, {c.heads, c.keys, c.channels});
  HostTensor want(DType::kF32, {c.queries, c.heads * c.channels}),
      got(DType::kF32, {c.queries, c.heads * c.channels});
  ops->Attention(q.view(), k.view(), v.view(), Options(c.channels, Precision::kExact), want.view());
  ops->Attention(q.view(), k.view(), v.view(), Options(c.channels), got.view());
  EXPECT_EQ(got.values(), want.values());
}

// Queries of zeros: every probability is digit 255, the result the mean of the rounded values. No
// key is dropped and none added, to a few roundings.
TEST_P(Int8AttentionTest, MeanOfTheValues) {
  for (const Case& c : kCases) {
    Draw draw(3);
    const HostTensor q(DType::kF32, {c.heads, c.queries, c.channels},
                       Values(static_cast<size_t>(c.heads * c.queries * c.channels), 0.0)),
        k = draw.Tensor(DType::kF32, {c.heads, c.keys, c.channels}),
        v = draw.Tensor(DType::kF32, {c.heads, c.keys, c.channels});
    const Shape shape = {c.queries, c.heads * c.channels};
    HostTensor want(DType::kF32, shape), dst(DType::kF32, shape);
    oracle->Attention(q.view(), k.view(), v.view(), Options(c.channels), want.view());
    ops->Attention(q.view(), k.view(), Tested(v, DType::kF32, c).view(), Options(c.channels),
                   dst.view());
    Compare("Attention, int8", fmt::format("mean of {} keys, Dh {}", c.keys, c.channels), dst,
            want.values(), Values(want.values().size(), 8 * kU32));
  }
}

// One key far ahead of all others: the result is its value alone, wherever in its block it lies.
TEST_P(Int8AttentionTest, OneKeyAhead) {
  constexpr Case c{1, 33, 389, 16};
  for (int64_t ahead : {0, 5, 190, 191, 192, 383, 384, 388}) {
    Values keys(static_cast<size_t>(c.keys * c.channels), 0.0);
    for (int64_t d = 0; d < c.channels; ++d)
      keys[static_cast<size_t>(ahead * c.channels + d)] = 100;
    Draw draw(7);
    const HostTensor q(DType::kF32, {1, c.queries, c.channels},
                       Values(static_cast<size_t>(c.queries * c.channels), 1.0)),
        k(DType::kF32, {1, c.keys, c.channels}, keys),
        v = draw.Tensor(DType::kF32, {1, c.keys, c.channels});
    HostTensor want(DType::kF32, {c.queries, c.channels}),
        dst(DType::kF32, {c.queries, c.channels});
    oracle->Attention(q.view(), k.view(), v.view(), Options(c.channels), want.view());
    ops->Attention(q.view(), k.view(), v.view(), Options(c.channels), dst.view());
    const Values got = want.values(), all = v.values();
    for (int64_t d = 0; d < c.channels;
         ++d) {  // and the plain loops are right: half a digit of 2/127
      EXPECT_NEAR(got[static_cast<size_t>(d)], all[static_cast<size_t>(ahead * c.channels + d)],
                  0.5 * 2 / 127 * 1.001);
    }
    Compare("Attention, int8", fmt::format("key {} ahead", ahead), dst, want.values(),
            Values(want.values().size(), 4 * kU32));
  }
}

TEST_P(Int8AttentionTest, NoNumberStaysNone) {
  constexpr Case c{2, 20, 200, 8};
  const double kNone = std::numeric_limits<double>::quiet_NaN();
  const double kInfinite = std::numeric_limits<double>::infinity();
  for (const double bad : {kNone, kInfinite}) {
    for (const char* where : {"q", "k", "v"}) {
      Draw draw(2);
      const auto make = [&](const char* name, int64_t tokens) {
        Values x = draw(DType::kF32, c.heads * tokens * c.channels);
        if (where == std::string(name)) x.back() = bad;  // of the last head, token and channel
        return HostTensor(DType::kF32, {c.heads, tokens, c.channels}, x);
      };
      const HostTensor q = make("q", c.queries), k = make("k", c.keys), v = make("v", c.keys);
      HostTensor dst(DType::kF32, {c.queries, c.heads * c.channels});
      ops->Attention(q.view(), k.view(), v.view(), Options(c.channels), dst.view());
      const Values got = dst.values();
      for (int64_t i = 0; i < c.queries; ++i) {
        for (int64_t d = 0; d < c.heads * c.channels; ++d) {
          const bool head = d >= c.channels, last = d == c.heads * c.channels - 1;
          const bool none = *where == 'q'   ? head && i == c.queries - 1
                            : *where == 'k' ? head
                                            : last;
          EXPECT_EQ(!std::isfinite(got[static_cast<size_t>(i * c.heads * c.channels + d)]), none)
              << where << " row " << i << " column " << d;
        }
      }
    }
  }
}

TEST_P(Int8AttentionTest, OnlyWhereBothAllowIt) {
  constexpr Case c{1, 20, 50, 16};
  Draw draw(9);
  const HostTensor q = draw.Tensor(DType::kF32, {1, c.queries, c.channels}),
                   k = draw.Tensor(DType::kF32, {1, c.keys, c.channels}),
                   v = draw.Tensor(DType::kF32, {1, c.keys, c.channels});
  const auto run = [&](Precision set, Precision coarsest) {
    HostTensor dst(DType::kF32, {c.queries, c.channels});
    ops->SetPrecision(set);
    ops->Attention(q.view(), k.view(), v.view(), Options(c.channels, coarsest), dst.view());
    return dst.values();
  };
  const Values exact = run(Precision::kExact, Precision::kExact);
  EXPECT_EQ(run(Precision::kExact, Precision::kInt8), exact);
  EXPECT_EQ(run(Precision::kInt8, Precision::kExact), exact);
  EXPECT_NE(run(Precision::kInt8, Precision::kInt8), exact);
}

TEST_P(Int8AttentionTest, NeitherMaskNorBias) {
  const HostTensor x(DType::kF32, {1, 4, 8}, Values(32, 0.0));
  AttentionOptions o = Options(8);
  o.causal = true;
  HostTensor dst(DType::kF32, {4, 8});
  ops->Attention(x.view(), x.view(), x.view(), o, dst.view());
  EXPECT_NE(ops->TakeStatus().message().find("8 bits with a mask"), std::string::npos);
}

double MeanSquare(const Values& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return sum / static_cast<double>(x.size());
}

// Mean square of the rounding errors of rows of `columns` values in 8 bits: step^2 / 12.
double RoundingOf(const Values& x, int64_t columns, bool pairs) {
  double sum = 0;
  for (size_t row = 0; row < x.size(); row += static_cast<size_t>(columns)) {
    double largest = 0;
    for (size_t i = row; i < row + static_cast<size_t>(columns); ++i) {
      largest = std::max(largest, std::abs(x[i]));
      if (pairs && (i - row) % 2 == 1) largest = std::max(largest, std::abs(x[i - 1] + x[i]));
    }
    sum += largest * largest / (127.0 * 127.0 * 12.0) * static_cast<double>(columns);
  }
  return sum / static_cast<double>(x.size());
}

// Against the exact attention, stage by stage, relative in the 2-norm: operands of variance 1, as
// FLUX normalises queries and keys, so scores vary by 1 as well; `offset` is a constant part of the
// keys, which smoothing takes off. Independent errors of the stages:
//   scores         of q and k, in the exponent: their error is that of the probabilities
//   probabilities  half a digit at most, beside digits relative to the largest of 192
//   values         their own
// 64 x 128 results of the same 768 keys: some hundred independent numbers, of which 5 % by chance
// six times over is 30 %.
TEST_P(Int8AttentionTest, ErrorAgainstExact) {
  constexpr Case c{1, 64, 768, 128};
  std::mt19937 generator(11);
  std::normal_distribution<double> normal;
  const auto draw = [&](int64_t n) {
    Values x;
    for (int64_t i = 0; i < n * c.channels; ++i) x.push_back(normal(generator));
    return x;
  };
  const Values queries = draw(c.queries), centred = draw(c.keys), values = draw(c.keys);
  Values by_channel;  // the values as they are rounded: [Dh][blocks][192]
  for (int64_t d = 0; d < c.channels; ++d) {
    for (int64_t j = 0; j < c.keys; ++j) {
      by_channel.push_back(values[static_cast<size_t>(j * c.channels + d)]);
    }
  }
  // A score sums Dh products and is scaled by 1 / sqrt(Dh): its error is the mean one of a factor.
  const double scores =
      RoundingOf(queries, c.channels, false) + RoundingOf(centred, c.channels, true);
  // Digits 255 * exp(s - max), s normal, the largest of 192 at 2.75: mean square e^(2 - 5.5).
  const double digits = 1 / (12 * 255.0 * 255.0 * std::exp(2 - 2 * 2.75));
  const double own = RoundingOf(by_channel, kInt8AttentionKeys, true) / MeanSquare(values);
  const double foretold = std::sqrt(scores + digits + own);
  fmt::print(
      "int8 attention, foretold: scores {:.2f} %, probabilities {:.2f} %, values {:.2f} %, all "
      "{:.2f} %\n",
      100 * std::sqrt(scores), 100 * std::sqrt(digits), 100 * std::sqrt(own), 100 * foretold);
  const HostTensor q(DType::kF32, {1, c.queries, c.channels}, queries),
      v(DType::kF32, {1, c.keys, c.channels}, values);
  for (const double offset : {0.0, 8.0}) {
    Values keys = centred;
    for (double& x : keys) x += offset;
    const HostTensor k(DType::kF32, {1, c.keys, c.channels}, keys);
    HostTensor want(DType::kF32, {c.queries, c.channels}),
        got(DType::kF32, {c.queries, c.channels});
    ops->Attention(q.view(), k.view(), v.view(), Options(c.channels, Precision::kExact),
                   want.view());
    ops->Attention(q.view(), k.view(), v.view(), Options(c.channels), got.view());
    const double error = RelativeError(got.values(), want.values());
    fmt::print("int8 attention, keys around {}: relative error {:.2f} %\n", offset, 100 * error);
    EXPECT_LE(error, 1.3 * foretold);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, Int8AttentionTest, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
