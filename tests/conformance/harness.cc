#include "conformance/harness.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>

#include "base/bf16.h"
#include "compute/f16.h"
#include "compute/reference/reference.h"
#include "compute/registry.h"

namespace kontext::conformance {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

void Put(std::byte* data, DType dtype, int64_t i, float x) {
  switch (dtype) {
    case DType::kBF16:
      reinterpret_cast<BF16*>(data)[i] = ToBF16(x);
      return;
    case DType::kF16:
      reinterpret_cast<F16*>(data)[i] = ToF16(x);
      return;
    default:
      reinterpret_cast<float*>(data)[i] = x;
  }
}

float Get(const std::byte* data, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::kBF16:
      return ToFloat(reinterpret_cast<const BF16*>(data)[i]);
    case DType::kF16:
      return ToFloat(reinterpret_cast<const F16*>(data)[i]);
    default:
      return reinterpret_cast<const float*>(data)[i];
  }
}

// Offsets of the elements of `view`, row-major.
std::vector<int64_t> Offsets(const ConstTensorView& view) {
  std::vector<int64_t> offsets(static_cast<size_t>(view.shape().NumElements()));
  for (size_t k = 0; k < offsets.size(); ++k) {
    auto rest = static_cast<int64_t>(k);
    for (int i = view.rank() - 1; i >= 0; --i) {
      offsets[k] += rest % view.dim(i) * view.stride(i);
      rest /= view.dim(i);
    }
  }
  return offsets;
}

// Largest observed / bound per op of this process, printed when it ends.
class Summary : public testing::Environment {
 public:
  struct Line {
    double ratio = 0, observed = 0, bound = 0;
    int64_t comparisons = 0;
  };
  std::map<std::string, Line> lines;

  void TearDown() override {
    for (const auto& [name, l] : lines) {
      fmt::print(
          "conformance {:<42} observed/bound at most {:.3f} ({:.3e} of {:.3e}), {} tensors\n", name,
          l.ratio, l.observed, l.bound, l.comparisons);
    }
  }
};

Summary& TheSummary() {
  static auto* summary =
      static_cast<Summary*>(testing::AddGlobalTestEnvironment(new Summary));  // gtest owns it
  return *summary;
}

}  // namespace

HostTensor::HostTensor(DType dtype, const Shape& shape, int64_t gap) {
  Shape padded = shape;
  padded[shape.rank() - 1] += gap;
  memory_ = std::move(*Tensor::Allocate(dtype, padded));
  for (int64_t i = 0; i < padded.NumElements(); ++i) Put(memory_.view().data(), dtype, i, kNan);
  view_ = memory_.view().Cols(0, shape.back());
}

HostTensor::HostTensor(DType dtype, const Shape& shape, const Values& values, int64_t gap)
    : HostTensor(dtype, shape, gap) {
  const std::vector<int64_t> offsets = Offsets(view_);
  for (size_t k = 0; k < offsets.size(); ++k) {
    Put(view_.data(), dtype, offsets[k], static_cast<float>(values[k]));
  }
}

Values HostTensor::values() const {
  const std::vector<int64_t> offsets = Offsets(view_);
  Values v(offsets.size());
  for (size_t k = 0; k < v.size(); ++k) {
    v[k] = static_cast<double>(Get(view_.data(), view_.dtype(), offsets[k]));
  }
  return v;
}

bool HostTensor::GapsAreUntouched() const {
  const ConstTensorView whole = memory_.view();
  std::vector<bool> inside(static_cast<size_t>(whole.shape().NumElements()));
  for (int64_t offset : Offsets(view_)) inside[static_cast<size_t>(offset)] = true;
  for (size_t i = 0; i < inside.size(); ++i) {
    const float x = Get(whole.data(), view_.dtype(), static_cast<int64_t>(i));
    if (!inside[i] && !std::isnan(x)) return false;
  }
  return true;
}

Values Abs(const Values& v) {
  Values a = v;
  for (double& x : a) x = std::abs(x);
  return a;
}

Values Draw::operator()(DType dtype, int64_t n, double offset) {
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  Values v(static_cast<size_t>(n));
  for (double& x : v) {
    std::byte rounded[4];
    Put(rounded, dtype, 0, uniform(generator_) + static_cast<float>(offset));
    x = static_cast<double>(Get(rounded, dtype, 0));
  }
  return v;
}

HostTensor Draw::Tensor(DType dtype, const Shape& shape, int64_t gap, double offset) {
  return HostTensor(dtype, shape, (*this)(dtype, shape.NumElements(), offset), gap);
}

std::vector<Config> Configs() {
  std::vector<Config> configs;
  for (const std::string& name : BackendNames()) {
    for (const char* dtype : {"f32", "bf16"}) configs.push_back({name, dtype});
  }
  return configs;
}

std::string ConfigName(const testing::TestParamInfo<Config>& info) {
  return info.param.backend + "_" + info.param.dtype;
}

void Conformance::SetUp() {
  TheSummary();
  oracle = MakeReferenceOps(DType::kF32);
  auto made = MakeOps({GetParam().backend, GetParam().dtype});
  ASSERT_TRUE(made.ok()) << made.message();
  ops = std::move(*made);
}

void Conformance::TearDown() { ExpectOk("at the end"); }

void Conformance::ExpectOk(const std::string& what) {
  for (Ops* o : {ops.get(), oracle.get()}) {
    if (o == nullptr) continue;
    const Status status = o->TakeStatus();
    EXPECT_TRUE(status.ok()) << what << ": " << status.message();
  }
}

void Conformance::Compare(std::string_view op, const std::string& what, const HostTensor& got,
                          const Values& want, const Values& bound) {
  ExpectOk(what);
  const Values values = got.values();
  ASSERT_EQ(values.size(), want.size()) << what;
  ASSERT_EQ(values.size(), bound.size()) << what;
  const double store = got.view().dtype() == DType::kBF16 ? kUBF16 : 0;
  Summary::Line& line = TheSummary().lines[fmt::format(
      "{}_{} {} -> {}", GetParam().backend, GetParam().dtype, op, Name(got.view().dtype()))];
  ++line.comparisons;
  size_t wrong = 0, first = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    // `want` itself is the reference's F32 result: one more rounding. 0x1p-126: below it, F32 and
    // BF16 numbers have fewer bits, and a backend may flush them to 0.
    const double allowed =
        bound[i] + kU32 * std::abs(want[i]) + store * (std::abs(want[i]) + bound[i]) + 0x1p-126;
    const double observed = std::abs(values[i] - want[i]);
    if (!(observed <= allowed) && wrong++ == 0) first = i;  // a NaN is wrong, too
    if (!(observed / allowed <= line.ratio)) {
      line.ratio = observed / allowed;
      line.observed = observed;
      line.bound = allowed;
    }
  }
  EXPECT_EQ(wrong, 0u) << op << " " << what << ": element " << first << " is " << values[first]
                       << ", expected " << want[first] << " within "
                       << bound[first] + (kU32 + store) * std::abs(want[first]);
  EXPECT_TRUE(got.GapsAreUntouched()) << op << " " << what << " wrote between the rows of dst";
}

void Conformance::CompareExactly(std::string_view op, const std::string& what,
                                 const HostTensor& got, const HostTensor& want) {
  ExpectOk(what);
  const Values a = got.values(), b = want.values();
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i], b[i]) << op << " " << what << ": element " << i;
  }
  EXPECT_TRUE(got.GapsAreUntouched()) << op << " " << what << " wrote between the rows of dst";
}

double Conformance::Narrowing(DType operand) const {
  return ops->activation_dtype() == DType::kBF16 && operand != DType::kBF16 ? kUBF16 : 0;
}

std::unique_ptr<ConvWeights> Conformance::PreparedConv(Ops& o, const HostTensor& weight,
                                                       const HostTensor& bias) {
  auto weights = o.PrepareConv(weight.view(), bias.view());
  EXPECT_TRUE(weights.ok()) << weights.message();
  return std::move(*weights);
}

Values NormalisedBound(const Values& x, double eps) {
  const auto count = static_cast<double>(x.size());
  const double sum = Roundings(count);
  double mean = 0, mean_abs = 0, variance = 0;
  for (double v : x) {
    mean += v / count;
    mean_abs += std::abs(v) / count;
  }
  for (double v : x) variance += (v - mean) * (v - mean) / count;
  const double sigma = std::sqrt(variance + eps);
  Values bound;
  for (double v : x) {
    const double centred = kU32 * ((sum + 1) * mean_abs + std::abs(v));
    const double relative = sum / 2 * kU32 + centred / sigma + 4 * kU32;
    bound.push_back(centred / sigma + std::abs(v - mean) / sigma * relative);
  }
  return bound;
}

Values GroupNormBound(Ops& oracle, const HostTensor& src, const PictureNorm& norm) {
  HostTensor linear(DType::kF32, src.view().shape());
  oracle.GroupNorm(src.view(), norm.weight, norm.bias, norm.groups, norm.eps, Activation::kNone,
                   linear.view());
  const Values x = src.values(), y = linear.values();
  const auto channels = static_cast<size_t>(src.view().dim(2));
  const size_t group = channels / static_cast<size_t>(norm.groups);
  Values bound(x.size());
  for (size_t c0 = 0; c0 < channels; c0 += group) {
    std::vector<size_t> members;
    Values values;
    for (size_t i = 0; i < x.size(); ++i) {
      if (i % channels < c0 || i % channels >= c0 + group) continue;
      members.push_back(i);
      values.push_back(x[i]);
    }
    const Values normalised = NormalisedBound(values, static_cast<double>(norm.eps));
    for (size_t m = 0; m < members.size(); ++m) {
      const size_t i = members[m];
      const double weight = std::abs(static_cast<double>(norm.weight.As<float>()[i % channels]));
      bound[i] = ActivationBound(norm.act, y[i], normalised[m] * weight + kU32 * std::abs(y[i]));
    }
  }
  return bound;
}

double RelativeError(const Values& got, const Values& want) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  return std::sqrt(error / norm);
}

bool Nudged() {
  const char* value = std::getenv("KX_CONFORMANCE_NUDGE");
  return value != nullptr && std::strcmp(value, "1") == 0;
}

double ActivationBound(Activation act, double x, double error) {
  return act == Activation::kNone ? error : 1.13 * error + 12 * kU32 * std::abs(x);
}

}  // namespace kontext::conformance
