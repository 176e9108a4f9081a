// Attention, Rope and SplitHeadsNormRope.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "conformance/harness.h"

namespace kontext::conformance {
namespace {

struct Case {
  int64_t heads, queries, keys, channels;
  bool causal = false, bias = false;
  float scale = 0;  // 0: 1/sqrt(Dh)
};
constexpr Case kCases[] = {
    {1, 1, 1, 8},
    {3, 1, 33, 8, false, true},
    {2, 7, 7, 32, true},
    {2, 17, 65, 32},
    {1, 65, 17, 64, false, true},
    {3, 33, 33, 64, false, true, 1.0f},
    {2, 129, 255, 128},
    {1, 63, 63, 128, true, true},
    {1, 3, 129, 512},
    {1, 77, 77, 64, true},
    {1, 255, 255, 8, true},
    {4, 65, 129, 32, false, false, 1.0f},
    {1, 33, 544, 64},
    {2, 17, 601, 128, false, false, 1.0f},
};

class HeadsTest : public Conformance {};

// A score s = scale * q.k + b is off by `score`: Roundings(Dh) of sums up to scale * |q|.|k|, one
// each for scale, bias and s - max; the exponential multiplies that into the weight p. A weight is
// off by at most twice the worst score of its row (numerator and denominator), and by
// 2 * Roundings(Tk) + 16: the two sums over keys, and exp and the rescalings of a streaming
// softmax. The bound is that times sum_j p[j] |v[j]|, which the reference computes on |v|.
// A backend of bf16 activations may round each weight to bf16 where all operands are BF16: `weight`
// relative to it, with 9e-5 for an exponential no finer than that calls for.
Values AttentionBound(const Case& c, const Values& q, const Values& k, const Values& b,
                      double scale, double weight, const Values& weighted) {
  Values bound = weighted;  // [Tq, H*Dh]
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  for (int64_t h = 0; h < c.heads; ++h) {
    for (int64_t i = 0; i < c.queries; ++i) {
      double worst = 0, low = 1e300, high = -1e300;
      for (int64_t j = 0; j < (c.causal ? i + 1 : c.keys); ++j) {
        double dot = 0, size = 0;
        for (int64_t d = 0; d < c.channels; ++d) {
          const double product = scale * q[at((h * c.queries + i) * c.channels + d)] *
                                 k[at((h * c.keys + j) * c.channels + d)];
          dot += product;
          size += std::abs(product);
        }
        const double add =
            b.empty() ? 0 : b[at(h * (c.queries + c.keys - 1) + j - i + c.queries - 1)];
        low = std::min(low, dot + add);
        high = std::max(high, dot + add);
        const double roundings = (Roundings(static_cast<double>(c.channels)) + 1) * kU32;
        worst = std::max(worst, roundings * size + kU32 * (std::abs(add) + std::abs(dot + add)));
      }
      const double score = worst + kU32 * (high - low);
      const double relative =
          2 * score + (2 * Roundings(static_cast<double>(c.keys)) + 16) * kU32 + weight;
      for (int64_t d = 0; d < c.channels; ++d) {
        bound[at((i * c.heads + h) * c.channels + d)] *= relative;
      }
    }
  }
  return bound;
}

TEST_P(HeadsTest, Attention) {
  const bool native = ops->activation_dtype() == DType::kBF16;
  uint32_t round = 0;
  for (const Case& c : kCases) {
    for (DType in : kActivationDtypes) {
      Draw draw(++round);
      const int64_t gap = round % 2 == 0 ? 8 : 0;
      const HostTensor q = draw.Tensor(in, {c.heads, c.queries, c.channels}, gap),
                       k = draw.Tensor(in, {c.heads, c.keys, c.channels}, gap),
                       v = draw.Tensor(in, {c.heads, c.keys, c.channels}, gap),
                       bias = draw.Tensor(DType::kF32, {c.heads, c.queries + c.keys - 1});
      const HostTensor abs_v(in, {c.heads, c.keys, c.channels}, Abs(v.values()));
      AttentionOptions o;
      o.scale = c.scale != 0 ? c.scale : 1.0f / std::sqrt(static_cast<float>(c.channels));
      o.causal = c.causal;
      if (c.bias) o.relative_bias = bias.view();
      const Shape shape = {c.queries, c.heads * c.channels};
      HostTensor want(DType::kF32, shape), weighted(DType::kF32, shape);
      oracle->Attention(q.view(), k.view(), v.view(), o, want.view());
      oracle->Attention(q.view(), k.view(), abs_v.view(), o, weighted.view());
      const Values bound =
          AttentionBound(c, q.values(), k.values(), c.bias ? bias.values() : Values(),
                         static_cast<double>(o.scale),
                         native && in == DType::kBF16 ? kUBF16 + 9e-5 : 0.0, weighted.values());
      for (DType out : kActivationDtypes) {
        HostTensor dst(out, shape, gap);
        ops->Attention(q.view(), k.view(), v.view(), o, dst.view());
        Compare("Attention",
                fmt::format("H {} Tq {} Tk {} Dh {}{}{} {} -> {}", c.heads, c.queries, c.keys,
                            c.channels, c.causal ? " causal" : "", c.bias ? " bias" : "", Name(in),
                            Name(out)),
                dst, want.values(), bound);
      }
    }
  }
}

// Large scores: the softmax must subtract the largest one before exp, wherever it comes in the row,
// also where it is far above all that were seen before.
TEST_P(HeadsTest, AttentionOfLargeScores) {
  constexpr int64_t kKeys = 601, kChannels = 32;
  for (DType in : kActivationDtypes) {
    for (int64_t peak : {int64_t{0}, int64_t{64}, int64_t{300}, kKeys - 1}) {
      Values k(kKeys * kChannels, 0.0), v(kKeys * kChannels, 1.0);
      for (int64_t d = 0; d < kChannels; ++d) {
        k[static_cast<size_t>(peak * kChannels + d)] = 100;  // q.k = 320,000; exp overflows from 89
        v[static_cast<size_t>(peak * kChannels + d)] = 3;
      }
      const HostTensor q(in, {1, 1, kChannels}, Values(kChannels, 100.0)),
          keys(in, {1, kKeys, kChannels}, k), values(in, {1, kKeys, kChannels}, v);
      HostTensor dst(DType::kF32, {1, kChannels}),
          want(DType::kF32, {1, kChannels}, Values(kChannels, 3.0));
      ops->Attention(q.view(), keys.view(), values.view(), {}, dst.view());
      CompareExactly("Attention", fmt::format("{}, peak at {}", Name(in), peak), dst, want);
    }
  }
}

// A key that is no number makes every query's result none, wherever it comes in the row.
TEST_P(HeadsTest, AttentionToNoNumber) {
  constexpr int64_t kKeys = 544, kChannels = 32;
  for (DType in : kActivationDtypes) {
    for (int64_t bad : {int64_t{0}, int64_t{300}, kKeys - 1}) {
      Values k(kKeys * kChannels, 0.5);
      k[static_cast<size_t>(bad * kChannels)] = std::numeric_limits<double>::quiet_NaN();
      const HostTensor q(in, {1, 3, kChannels}, Values(3 * kChannels, 1.0)),
          keys(in, {1, kKeys, kChannels}, k),
          values(in, {1, kKeys, kChannels}, Values(kKeys * kChannels, 1.0));
      HostTensor dst(DType::kF32, {3, kChannels});
      ops->Attention(q.view(), keys.view(), values.view(), {}, dst.view());
      for (double x : dst.values()) EXPECT_TRUE(std::isnan(x)) << Name(in) << ", key " << bad;
    }
  }
}

// Angles of a table as HostTensor [T,Dh/2,2].
HostTensor RopeTable(Draw& draw, int64_t tokens, int64_t pairs) {
  Values angles = draw(DType::kF32, tokens * pairs), table;
  for (double a : angles) {
    table.push_back(std::cos(40 * a));
    table.push_back(std::sin(40 * a));
  }
  return HostTensor(DType::kF32, {tokens, pairs, 2}, table);
}

// |cos * x0| + |sin * x1| and its partner, for x [H,T,Dh].
Values RopeSize(const Values& x, const Values& rope, int64_t tokens, int64_t channels) {
  Values size(x.size());
  for (size_t i = 0; i < x.size(); i += 2) {
    const auto d = static_cast<int64_t>(i) % channels;
    const int64_t t = static_cast<int64_t>(i) / channels % tokens;
    const auto at = static_cast<size_t>(t * channels + d);  // rope [T,Dh/2,2] has Dh per token
    const double c = std::abs(rope[at]), s = std::abs(rope[at + 1]);
    size[i] = c * std::abs(x[i]) + s * std::abs(x[i + 1]);
    size[i + 1] = s * std::abs(x[i]) + c * std::abs(x[i + 1]);
  }
  return size;
}

struct HeadSizes {
  int64_t heads, tokens, channels;
};
constexpr HeadSizes kHeadSizes[] = {{1, 1, 2},   {1, 3, 8},    {3, 7, 6},    {2, 17, 32},
                                    {5, 33, 64}, {2, 65, 128}, {1, 129, 16}, {3, 5, 34}};

// Two products and a sum: 2 roundings of |cos x0| + |sin x1|.
TEST_P(HeadsTest, Rope) {
  for (const HeadSizes& s : kHeadSizes) {
    for (DType in : kActivationDtypes) {
      for (DType out : kActivationDtypes) {
        Draw draw(static_cast<uint32_t>(s.tokens));
        const Shape shape = {s.heads, s.tokens, s.channels};
        HostTensor src = draw.Tensor(in, shape, 4);
        const HostTensor rope = RopeTable(draw, s.tokens, s.channels / 2);
        HostTensor dst(out, shape, 2), want(DType::kF32, shape);
        Values bound = RopeSize(src.values(), rope.values(), s.tokens, s.channels);
        for (double& b : bound) b *= 2 * kU32;
        const std::string what = fmt::format("{} {} -> {}", shape.Str(), Name(in), Name(out));
        oracle->Rope(src.view(), rope.view(), want.view());
        ops->Rope(src.view(), rope.view(), dst.view());
        Compare("Rope", what, dst, want.values(), bound);
        ops->Rope(src.view(), rope.view(), src.view());
        Compare("Rope", what + " in place", src, want.values(), bound);
      }
    }
  }
}

// RmsNorm's Dh/2 + 5 roundings (see norm_test.cc), then rope's 2.
TEST_P(HeadsTest, SplitHeadsNormRope) {
  for (const HeadSizes& s : kHeadSizes) {
    for (int parts = 0; parts < 4; ++parts) {
      const bool with_norm = (parts & 1) != 0, with_rope = (parts & 2) != 0;
      for (DType in : kActivationDtypes) {
        for (DType out : kActivationDtypes) {
          Draw draw(static_cast<uint32_t>(s.tokens * 4 + parts));
          // A column range of a joint projection [T, 3*H*Dh], as dit/ passes q, k and v.
          const int64_t width = s.heads * s.channels;
          const HostTensor joint = draw.Tensor(in, {s.tokens, 3 * width});
          const ConstTensorView src = joint.view().Cols(width, 2 * width);
          const HostTensor norm = draw.Tensor(DType::kF32, {s.channels}, 0, 1.5);
          const HostTensor rope = RopeTable(draw, s.tokens, s.channels / 2);
          const ConstTensorView norm_view = with_norm ? norm.view() : ConstTensorView();
          const ConstTensorView rope_view = with_rope ? rope.view() : ConstTensorView();
          const Shape shape = {s.heads, s.tokens, s.channels};
          HostTensor dst(out, shape), want(DType::kF32, shape), unrotated(DType::kF32, shape);
          ops->SplitHeadsNormRope(src, norm_view, 1e-6f, rope_view, dst.view());
          oracle->SplitHeadsNormRope(src, norm_view, 1e-6f, rope_view, want.view());
          oracle->SplitHeadsNormRope(src, norm_view, 1e-6f, {}, unrotated.view());
          Values bound = with_rope
                             ? RopeSize(unrotated.values(), rope.values(), s.tokens, s.channels)
                             : Abs(unrotated.values());
          const double roundings = (with_norm ? static_cast<double>(s.channels) / 2 + 5 : 0) +
                                   (with_rope ? 2 + (with_norm ? 1 : 0) : 0);
          for (double& b : bound) b *= roundings * kU32;
          Compare("SplitHeadsNormRope",
                  fmt::format("{} {} -> {}{}{}", shape.Str(), Name(in), Name(out),
                              with_norm ? " norm" : "", with_rope ? " rope" : ""),
                  dst, want.values(), bound);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, HeadsTest, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
