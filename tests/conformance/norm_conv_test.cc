// NormConv2d: GroupNorm, activation, 3x3 convolution and residual in one. A normalised value is off
// by GroupNorm's bound (and the narrowing of an operand), which the kernel's magnitudes carry on;
// then the roundings of a convolution, as in conv_test.cc.
#include <fmt/format.h>

#include <cmath>

#include "conformance/harness.h"

namespace kontext::conformance {
namespace {

class NormConvTest : public Conformance {
 protected:
  // sum |kernel| * what, by the oracle.
  Values Carried(const Values& what, const Shape& shape, const ConvWeights& magnitude,
                 const Shape& to) {
    const HostTensor picture(DType::kF32, shape, what);
    HostTensor sum(DType::kF32, to);
    oracle->Conv2d(picture.view(), magnitude, {1, 1, 1}, sum.view());
    return sum.values();
  }
};

struct Case {
  int64_t height, width, in, groups, out;
};
// Odd sizes, one row, one column, groups of one channel; the last two are several of the bands that
// the cpu backend works in (16128 pixels), one of them with a short last band.
constexpr Case kCases[] = {{1, 1, 4, 2, 3},    {1, 9, 6, 6, 5},    {11, 1, 8, 1, 7},
                           {7, 5, 64, 32, 33}, {17, 23, 32, 8, 3}, {113, 300, 4, 2, 5},
                           {64, 512, 3, 3, 2}};

TEST_P(NormConvTest, NormConv2d) {
  int round = 0;
  for (const Case& c : kCases) {
    for (DType in : kActivationDtypes) {
      for (DType out : kActivationDtypes) {
        Draw draw(static_cast<uint32_t>(++round));
        const DType dtype = kWeightDtypes[round % 3];
        const Shape shape{c.height, c.width, c.in}, to{c.height, c.width, c.out};
        const Shape w_shape{c.out, c.in, 3, 3};
        const HostTensor src = draw.Tensor(in, shape), weight = draw.Tensor(dtype, w_shape),
                         bias = draw.Tensor(dtype, {c.out}), residual = draw.Tensor(in, to),
                         gamma = draw.Tensor(DType::kF32, {c.in}, 0, 1.5),
                         beta = draw.Tensor(DType::kF32, {c.in});
        const PictureNorm norm{gamma.view(), beta.view(), static_cast<int>(c.groups), 1e-6f,
                               kActivations[round % 4]};
        const bool added = round % 2 == 0;
        const ConstTensorView add = added ? residual.view() : ConstTensorView();
        HostTensor dst(out, to), want(DType::kF32, to), normed(DType::kF32, shape);
        ops->NormConv2d(src.view(), norm, *PreparedConv(*ops, weight, bias), add, dst.view());
        oracle->NormConv2d(src.view(), norm, *PreparedConv(*oracle, weight, bias), add,
                           want.view());
        oracle->GroupNorm(src.view(), norm.weight, norm.bias, norm.groups, norm.eps, norm.act,
                          normed.view());

        const HostTensor abs_weight(dtype, w_shape, Abs(weight.values())),
            abs_bias(dtype, {c.out}, Abs(bias.values())), no_bias(dtype, {c.out}, Values(c.out));
        const auto magnitude = PreparedConv(*oracle, abs_weight, abs_bias),
                   slopes = PreparedConv(*oracle, abs_weight, no_bias);
        const Values size = Carried(Abs(normed.values()), shape, *magnitude, to);
        Values bound = Carried(GroupNormBound(*oracle, src, norm), shape, *slopes, to);
        const double roundings =
            static_cast<double>(9 * c.in + 1) * kU32 + Narrowing(DType::kF32) + Narrowing(dtype);
        const Values total = want.values();
        for (size_t i = 0; i < bound.size(); ++i) {
          bound[i] += roundings * size[i] + (added ? 2 * kU32 * (size[i] + std::abs(total[i])) : 0);
        }
        Compare("NormConv2d",
                fmt::format("{} groups {} {} {} -> {} {}{}", shape.Str(), c.groups, Name(in),
                            Name(dtype), to.Str(), Name(out), added ? " + residual" : ""),
                dst, total, bound);
      }
    }
  }
}

// The sum in place, as a residual block has it: the same bits as beside it.
TEST_P(NormConvTest, InPlace) {
  const Shape shape{61, 300, 4};
  Draw draw(3);
  const HostTensor src = draw.Tensor(DType::kF32, shape),
                   weight = draw.Tensor(DType::kBF16, {4, 4, 3, 3}),
                   bias = draw.Tensor(DType::kF32, {4}),
                   gamma = draw.Tensor(DType::kF32, {4}, 0, 1.5),
                   beta = draw.Tensor(DType::kF32, {4});
  const Values residual = draw(DType::kF32, shape.NumElements());
  const HostTensor apart(DType::kF32, shape, residual);
  HostTensor in_place(DType::kF32, shape, residual), want(DType::kF32, shape);
  const PictureNorm norm{gamma.view(), beta.view(), 2, 1e-6f, Activation::kSilu};
  const auto w = PreparedConv(*ops, weight, bias);
  ops->NormConv2d(src.view(), norm, *w, in_place.view(), in_place.view());
  ops->NormConv2d(src.view(), norm, *w, apart.view(), want.view());
  ExpectOk("in place");
  EXPECT_EQ(in_place.values(), want.values());
}

INSTANTIATE_TEST_SUITE_P(Backends, NormConvTest, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
