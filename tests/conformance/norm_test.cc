// LayerNorm, RmsNorm and GroupNorm.
// Their bound is harness.h's NormalisedBound.
#include <fmt/format.h>

#include <cmath>

#include "conformance/harness.h"

namespace kontext::conformance {
namespace {

class NormTest : public Conformance {};

struct Sizes {
  int64_t rows, channels;
};
constexpr Sizes kSizes[] = {{1, 1},  {1, 3},   {3, 7},   {7, 17},  {17, 33},
                            {2, 63}, {65, 65}, {5, 129}, {3, 255}, {4, 1024}};

// Bounds of all rows of src [T,D].
Values RowBounds(const Values& x, int64_t channels, double eps) {
  Values bound;
  for (auto row = x.begin(); row != x.end(); row += channels) {
    const Values b = NormalisedBound(Values(row, row + channels), eps);
    bound.insert(bound.end(), b.begin(), b.end());
  }
  return bound;
}

TEST_P(NormTest, LayerNorm) {
  int round = 0;
  for (const Sizes& s : kSizes) {
    for (DType in : kActivationDtypes) {
      for (DType out : kActivationDtypes) {
        for (bool affine : {false, true}) {
          Draw draw(static_cast<uint32_t>(++round));
          const float eps = round % 2 == 0 ? 1e-5f : 1e-6f;
          const Shape shape = {s.rows, s.channels};
          // Means beside and away from 0: cancellation is part of the op.
          const HostTensor src = draw.Tensor(in, shape, round % 3, round % 4 == 0 ? 2.0 : 0.0);
          const HostTensor weight = draw.Tensor(DType::kF32, {s.channels}, 0, 1.5),
                           bias = draw.Tensor(DType::kF32, {s.channels});
          const ConstTensorView w = affine ? weight.view() : ConstTensorView(),
                                b = affine ? bias.view() : ConstTensorView();
          HostTensor dst(out, shape, round % 2), want(DType::kF32, shape);
          ops->LayerNorm(src.view(), w, b, eps, dst.view());
          oracle->LayerNorm(src.view(), w, b, eps, want.view());
          Values bound = RowBounds(src.values(), s.channels, static_cast<double>(eps));
          const Values ws = weight.values(), want_values = want.values();
          for (size_t i = 0; i < bound.size(); ++i) {
            bound[i] *= affine ? std::abs(ws[i % ws.size()]) : 1;
            bound[i] += kU32 * std::abs(want_values[i]);  // the bias
          }
          Compare("LayerNorm",
                  fmt::format("{} {} -> {}{}", shape.Str(), Name(in), Name(out),
                              affine ? " affine" : ""),
                  dst, want_values, bound);
        }
      }
    }
  }
}

// The sum of squares is off by D + 1 roundings, its root by half of that; eps, root, division and
// two products add 4.5. All relative: D/2 + 5.
TEST_P(NormTest, RmsNorm) {
  int round = 0;
  for (const Sizes& s : kSizes) {
    for (DType in : kActivationDtypes) {
      for (DType out : kActivationDtypes) {
        Draw draw(static_cast<uint32_t>(++round));
        const Shape flat = {s.rows, s.channels}, heads = {2, s.rows, s.channels};
        const Shape shape = round % 2 == 0 ? flat : heads;
        const HostTensor src = draw.Tensor(in, shape, round % 3);
        const HostTensor weight = draw.Tensor(DType::kF32, {s.channels}, 0, 1.5);
        HostTensor dst(out, shape, round % 2), want(DType::kF32, shape);
        ops->RmsNorm(src.view(), weight.view(), 1e-6f, dst.view());
        oracle->RmsNorm(src.view(), weight.view(), 1e-6f, want.view());
        Values bound = Abs(want.values());
        for (double& b : bound) b *= (Roundings(static_cast<double>(s.channels)) / 2 + 5) * kU32;
        Compare("RmsNorm", fmt::format("{} {} -> {}", shape.Str(), Name(in), Name(out)), dst,
                want.values(), bound);
      }
    }
  }
}

struct PictureSizes {
  int64_t height, width, channels;
  int groups;
};
constexpr PictureSizes kPictures[] = {{1, 1, 1, 1},    {1, 3, 4, 2},    {7, 5, 6, 3},
                                      {3, 17, 32, 32}, {9, 7, 64, 32},  {5, 13, 96, 8},
                                      {33, 17, 8, 4},  {17, 3, 512, 32}};

TEST_P(NormTest, GroupNorm) {
  int round = 0;
  for (const PictureSizes& s : kPictures) {
    for (DType in : kActivationDtypes) {
      for (DType out : kActivationDtypes) {
        Draw draw(static_cast<uint32_t>(++round));
        const Activation act = kActivations[round % 4];
        const Shape shape = {s.height, s.width, s.channels};
        const HostTensor src = draw.Tensor(in, shape, 0, round % 3 == 0 ? 1.0 : 0.0);
        const HostTensor weight = draw.Tensor(DType::kF32, {s.channels}, 0, 1.5),
                         bias = draw.Tensor(DType::kF32, {s.channels});
        HostTensor dst(out, shape), want(DType::kF32, shape);
        ops->GroupNorm(src.view(), weight.view(), bias.view(), s.groups, 1e-6f, act, dst.view());
        oracle->GroupNorm(src.view(), weight.view(), bias.view(), s.groups, 1e-6f, act,
                          want.view());
        const Values bound =
            GroupNormBound(*oracle, src, {weight.view(), bias.view(), s.groups, 1e-6f, act});
        Compare("GroupNorm",
                fmt::format("{} groups {} {} -> {} act {}", shape.Str(), s.groups, Name(in),
                            Name(out), static_cast<int>(act)),
                dst, want.values(), bound);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, NormTest, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
