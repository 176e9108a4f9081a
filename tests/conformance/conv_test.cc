// Conv2d, Conv2dAdd, Upsample2x and UpsampleConv2d. A convolution is a dot of length k*k*C: its
// roundings, of sums that never exceed sum |a||b|, one for the bias (and one for the residual), and
// the narrowing of operands.
#include <fmt/format.h>

#include <cmath>

#include "conformance/harness.h"

namespace kontext::conformance {
namespace {

struct Case {
  int64_t height, width, in, out, kernel;
  ConvOptions options;
};
// What the VAE uses (spec architecture 4): 3x3 with pads 1, 3x3 stride 2 padded right and bottom
// only, 1x1 shortcuts; its thin ends of 3 and 16 channels, its wide middle; odd sizes. The last two
// are several of the bands that the cpu backend works in (16128 pixels), the last one short.
constexpr Case kCases[] = {
    {1, 1, 1, 1, 3, {1, 1, 1}},     {1, 1, 3, 7, 1, {1, 0, 0}},    {5, 7, 3, 17, 3, {1, 1, 1}},
    {17, 9, 3, 32, 3, {1, 1, 1}},   {9, 17, 16, 65, 3, {1, 1, 1}}, {7, 33, 33, 3, 3, {1, 1, 1}},
    {8, 12, 32, 32, 3, {2, 0, 1}},  {6, 10, 7, 33, 3, {2, 0, 1}},  {7, 5, 17, 8, 3, {2, 0, 1}},
    {5, 7, 64, 31, 1, {1, 0, 0}},   {3, 65, 48, 96, 1, {1, 0, 0}}, {6, 5, 256, 40, 3, {1, 1, 1}},
    {9, 8, 5, 6, 3, {1, 0, 0}},     {7, 9, 4, 6, 5, {1, 2, 2}},    {259, 263, 3, 5, 3, {2, 0, 1}},
    {143, 129, 2, 3, 3, {1, 1, 1}},
};

class ConvTest : public Conformance {};

TEST_P(ConvTest, Conv2dAndConv2dAdd) {
  int round = 0;
  for (const Case& c : kCases) {
    for (DType in : kActivationDtypes) {
      for (DType out : kActivationDtypes) {
        Draw draw(static_cast<uint32_t>(++round));
        const DType dtype = kWeightDtypes[round % 3];
        const Shape w_shape = {c.out, c.in, c.kernel, c.kernel};
        const HostTensor src = draw.Tensor(in, {c.height, c.width, c.in}),
                         weight = draw.Tensor(dtype, w_shape), bias = draw.Tensor(dtype, {c.out});
        const HostTensor abs_src(in, src.view().shape(), Abs(src.values())),
            abs_weight(dtype, w_shape, Abs(weight.values())),
            abs_bias(dtype, {c.out}, Abs(bias.values()));
        const auto tested = PreparedConv(*ops, weight, bias),
                   exact = PreparedConv(*oracle, weight, bias),
                   magnitude = PreparedConv(*oracle, abs_weight, abs_bias);
        const int64_t pads = c.options.pad_begin + c.options.pad_end - c.kernel;
        const Shape shape = {(c.height + pads) / c.options.stride + 1,
                             (c.width + pads) / c.options.stride + 1, c.out};
        HostTensor dst(out, shape), want(DType::kF32, shape), size(DType::kF32, shape);
        const std::string what =
            fmt::format("[{},{},{}] k {} -> {} stride {} {} {} -> {}", c.height, c.width, c.in,
                        c.kernel, shape.Str(), c.options.stride, Name(in), Name(dtype), Name(out));
        ops->Conv2d(src.view(), *tested, c.options, dst.view());
        oracle->Conv2d(src.view(), *exact, c.options, want.view());
        oracle->Conv2d(abs_src.view(), *magnitude, c.options, size.view());
        Values bound = size.values();
        const double roundings = static_cast<double>(c.kernel * c.kernel * c.in + 1) * kU32 +
                                 Narrowing(in) + Narrowing(dtype);
        for (double& b : bound) b *= roundings;
        Compare("Conv2d", what, dst, want.values(), bound);

        const HostTensor residual = draw.Tensor(in, shape);
        HostTensor sum(out, shape), want_sum(DType::kF32, shape);
        ops->Conv2dAdd(src.view(), *tested, c.options, residual.view(), sum.view());
        oracle->Conv2dAdd(src.view(), *exact, c.options, residual.view(), want_sum.view());
        const Values y = want.values(), total = want_sum.values();
        for (size_t i = 0; i < bound.size(); ++i) {
          // The oracle's own F32 intermediate, and the sum.
          bound[i] += kU32 * (std::abs(y[i]) + std::abs(total[i]));
        }
        Compare("Conv2dAdd", what, sum, total, bound);
      }
    }
  }
}

TEST_P(ConvTest, Upsample2x) {
  for (const Shape& s : {Shape{1, 1, 1}, Shape{3, 7, 5}, Shape{7, 3, 33}, Shape{4, 4, 64}}) {
    for (DType in : kActivationDtypes) {
      for (DType out : kActivationDtypes) {
        Draw draw(3);
        const HostTensor src = draw.Tensor(in, s);
        const Shape shape = {2 * s[0], 2 * s[1], s[2]};
        HostTensor dst(out, shape), want(out, shape);
        ops->Upsample2x(src.view(), dst.view());
        oracle->Upsample2x(src.view(), want.view());
        CompareExactly("Upsample2x", s.Str(), dst, want);
      }
    }
  }
}

// No more roundings than Conv2d may have: the weights of four taps are added in F32 before the dot.
TEST_P(ConvTest, UpsampleConv2d) {
  struct Enlarged {
    int64_t height, width, in, out;
  };
  int round = 0;
  for (const Enlarged& e :
       {Enlarged{1, 1, 1, 1}, Enlarged{1, 5, 3, 7}, Enlarged{4, 1, 17, 24}, Enlarged{7, 9, 33, 25},
        Enlarged{5, 6, 64, 65}, Enlarged{71, 65, 2, 3}}) {
    for (DType in : kActivationDtypes) {
      for (DType out : kActivationDtypes) {
        Draw draw(static_cast<uint32_t>(++round));
        const DType dtype = kWeightDtypes[round % 3];
        const Shape w_shape = {e.out, e.in, 3, 3}, shape = {2 * e.height, 2 * e.width, e.out};
        const HostTensor src = draw.Tensor(in, {e.height, e.width, e.in}),
                         weight = draw.Tensor(dtype, w_shape), bias = draw.Tensor(dtype, {e.out});
        const HostTensor abs_src(in, src.view().shape(), Abs(src.values())),
            abs_weight(dtype, w_shape, Abs(weight.values())),
            abs_bias(dtype, {e.out}, Abs(bias.values()));
        HostTensor dst(out, shape), want(DType::kF32, shape), size(DType::kF32, shape);
        ops->UpsampleConv2d(src.view(), *PreparedConv(*ops, weight, bias), dst.view());
        oracle->UpsampleConv2d(src.view(), *PreparedConv(*oracle, weight, bias), want.view());
        oracle->UpsampleConv2d(abs_src.view(), *PreparedConv(*oracle, abs_weight, abs_bias),
                               size.view());
        Values bound = size.values();
        for (double& b : bound) {
          b *= static_cast<double>(9 * e.in + 1) * kU32 + Narrowing(in) + Narrowing(dtype);
        }
        Compare("UpsampleConv2d",
                fmt::format("{} -> {} {} {} -> {}", src.view().shape().Str(), shape.Str(), Name(in),
                            Name(dtype), Name(out)),
                dst, want.values(), bound);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ConvTest, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
