// What every conformance test needs: the configurations under test, tensors with guarded gaps, and
// the comparison of a result with the reference under a computed bound.
#ifndef KONTEXT_TESTS_CONFORMANCE_HARNESS_H_
#define KONTEXT_TESTS_CONFORMANCE_HARNESS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "compute/ops.h"

namespace kontext::conformance {

// The roundings of a sum of n terms add up to at most n; to more than 6 sqrt(n) only with a chance
// below 1e-7, as their signs vary (Higham and Mary 2019, "A new approach to probabilistic rounding
// error analysis", theorem 2.4 with lambda = 6).
inline double Roundings(double n) { return std::min(n, 6 * std::sqrt(n)); }

// Unit roundoffs: half the spacing of the numbers around 1.
constexpr double kU32 = 0x1p-24;   // of the arithmetic of every op: ops.h has them compute in f32
constexpr double kUBF16 = 0x1p-8;  // of a BF16 store

using Values = std::vector<double>;  // the elements of a tensor, row-major

// A tensor that may have gaps between its rows. Gaps hold NaN: an op that reads them spoils its
// result, one that writes them is caught by GapsAreUntouched().
class HostTensor {
 public:
  HostTensor(DType dtype, const Shape& shape, int64_t gap = 0);  // elements NaN, too
  HostTensor(DType dtype, const Shape& shape, const Values& values, int64_t gap = 0);

  TensorView view() { return view_; }
  ConstTensorView view() const { return view_; }
  Values values() const;
  bool GapsAreUntouched() const;

 private:
  Tensor memory_;
  TensorView view_;
};

Values Abs(const Values& v);
// |got - want| / |want|, in the 2-norm.
double RelativeError(const Values& got, const Values& want);

// One test's random numbers, the same in every run.
class Draw {
 public:
  explicit Draw(uint32_t seed) : generator_(seed) {}
  // Uniform in [-1, 1) + offset, already rounded to `dtype`.
  Values operator()(DType dtype, int64_t n, double offset = 0);
  HostTensor Tensor(DType dtype, const Shape& shape, int64_t gap = 0, double offset = 0);

 private:
  std::mt19937 generator_;
};

// A registered backend in one activation dtype: "cpu_f32". All of them run every test.
struct Config {
  std::string backend, dtype;
};
std::vector<Config> Configs();
std::string ConfigName(const testing::TestParamInfo<Config>& info);

class Conformance : public testing::TestWithParam<Config> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Compares element by element, |got - want| <= bound + the store's rounding, and notes the
  // largest ratio for the summary line of `op`. `bound` is what the op may differ by before its
  // store.
  void Compare(std::string_view op, const std::string& what, const HostTensor& got,
               const Values& want, const Values& bound);
  // Equal bits: for ops that round once and compute nothing else.
  void CompareExactly(std::string_view op, const std::string& what, const HostTensor& got,
                      const HostTensor& want);
  // What narrowing an operand costs a product, relative to it. A backend asked for bf16 multiplies
  // bf16 where the processor can, and brings wider operands down to it; processors that cannot are
  // held to the same bound, and with f32 to the tight one.
  double Narrowing(DType operand) const;
  static std::unique_ptr<ConvWeights> PreparedConv(Ops& o, const HostTensor& weight,
                                                   const HostTensor& bias);
  // Neither has failed.
  void ExpectOk(const std::string& what);

  std::unique_ptr<Ops> ops;     // under test
  std::unique_ptr<Ops> oracle;  // the reference
};

// KX_CONFORMANCE_NUDGE=1 makes one weight of every Linear wrong by one percent, and one value of
// attention in 8 bits wrong: the twin that must fail.
bool Nudged();

constexpr DType kActivationDtypes[] = {DType::kF32, DType::kBF16};
constexpr DType kWeightDtypes[] = {DType::kF32, DType::kBF16, DType::kF16};
constexpr Activation kActivations[] = {Activation::kNone, Activation::kSilu, Activation::kGeluTanh,
                                       Activation::kQuickGelu};

// The error of an activation whose argument x is off by `error`: slopes of silu, gelu and quick
// gelu are at most 1.13, and evaluating them in f32 takes at most 12 roundings (gelu: 5 for the
// polynomial, 4 ulp for tanh, 3 to finish) of values no larger than |x|.
double ActivationBound(Activation act, double x, double error);

// The error of the normalised x[begin], x[begin + 1], ... with D values in all, before any affine.
//
// Bound of (x - mean) / sigma over D values, sigma = sqrt(variance + eps): the mean is off by the
// Roundings(D) of its sum times mean |x|, so a centred value by that and one rounding of x:
// `centred`. The variance's sum adds D roundings and the centred values' own error; its root halves
// both. Then 4 roundings: division, root, product, product with the weight.
Values NormalisedBound(const Values& x, double eps);
// The error of act(GroupNorm(src)), src [h,w,C], in its order.
Values GroupNormBound(Ops& oracle, const HostTensor& src, const PictureNorm& norm);

}  // namespace kontext::conformance

#endif  // KONTEXT_TESTS_CONFORMANCE_HARNESS_H_
