// Linear and LinearGatedAdd. Bound of a dot of length K: K roundings of sums that
// never exceed sum |a||b|, one for the bias, and the narrowing of operands.
#include <fmt/format.h>

#include "conformance/harness.h"

namespace kontext::conformance {
namespace {

struct Sizes {
  int64_t t, k, n;
};
constexpr Sizes kSizes[] = {{1, 1, 1},     {1, 3, 7},    {3, 7, 17},    {7, 17, 33},
                            {17, 33, 3},   {33, 63, 65}, {63, 65, 129}, {5, 255, 63},
                            {129, 64, 48}, {2, 1024, 33}};

// The same product for the backend under test and for the reference.
struct Product {
  HostTensor src, weight, bias;
  HostTensor tested_weight;  // as `weight`, in memory of its own: the twin that must fail alters it
  std::unique_ptr<LinearWeights> tested = nullptr, exact = nullptr;
  Values want = {}, size = {};  // of dst without activation: the result, and sum |a||b| + |bias|
  double roundings = 0;         // the result may be off by this times `size`
};

class LinearTest : public Conformance {
 protected:
  Product Make(const Sizes& s, DType src_dtype, DType weight_dtype, bool bias, int64_t gap) {
    Draw draw(static_cast<uint32_t>(s.t * 7919 + s.k * 31 + s.n));
    const Shape w_shape = {s.n, s.k};
    const Values values = draw(weight_dtype, w_shape.NumElements());
    Values tested = values;
    if (Nudged()) tested.back() *= 1.01;
    Product p{.src = draw.Tensor(src_dtype, {s.t, s.k}, gap),
              .weight = HostTensor(weight_dtype, w_shape, values),
              .bias = draw.Tensor(weight_dtype, {s.n}),
              .tested_weight = HostTensor(weight_dtype, w_shape, tested)};
    p.tested = Prepare(*ops, p.tested_weight, bias ? &p.bias : nullptr);
    p.exact = Prepare(*oracle, p.weight, bias ? &p.bias : nullptr);
    p.want = Exactly(p.src, *p.exact, s);
    const HostTensor abs_src(src_dtype, {s.t, s.k}, Abs(p.src.values())),
        abs_weight(weight_dtype, w_shape, Abs(values)),
        abs_bias(weight_dtype, {s.n}, Abs(p.bias.values()));
    p.size = Exactly(abs_src, *Prepare(*oracle, abs_weight, bias ? &abs_bias : nullptr), s);
    p.roundings = static_cast<double>(s.k + (bias ? 1 : 0)) * kU32 + Narrowing(src_dtype) +
                  Narrowing(weight_dtype);
    return p;
  }

  static std::unique_ptr<LinearWeights> Prepare(Ops& o, const HostTensor& weight,
                                                const HostTensor* bias) {
    LinearSource source{{weight.view()}, {}};
    if (bias != nullptr) source.bias.push_back(bias->view());
    auto w = o.PrepareLinear(source);
    EXPECT_TRUE(w.ok()) << w.message();
    return std::move(*w);
  }

  Values Exactly(const HostTensor& src, const LinearWeights& w, const Sizes& s) {
    HostTensor dst(DType::kF32, {s.t, s.n});
    oracle->Linear(src.view(), w, Activation::kNone, dst.view());
    return dst.values();
  }
};

TEST_P(LinearTest, Linear) {
  int round = 0;
  for (const Sizes& s : kSizes) {
    for (DType src : kActivationDtypes) {
      for (DType weight : kWeightDtypes) {
        for (DType dst_dtype : kActivationDtypes) {
          const bool bias = round % 3 != 0;
          const int64_t gap = round % 2 == 0 ? 0 : 5;
          const Activation act = kActivations[round++ % 4];
          Product p = Make(s, src, weight, bias, gap);
          HostTensor dst(dst_dtype, {s.t, s.n}, gap), want(DType::kF32, {s.t, s.n});
          ops->Linear(p.src.view(), *p.tested, act, dst.view());
          oracle->Linear(p.src.view(), *p.exact, act, want.view());
          Values bound = p.size;
          for (size_t i = 0; i < bound.size(); ++i) {
            bound[i] = ActivationBound(act, p.want[i], p.roundings * p.size[i]);
          }
          Compare("Linear",
                  fmt::format("[{},{}]x[{},{}] {} {} -> {} act {}", s.t, s.k, s.n, s.k, Name(src),
                              Name(weight), Name(dst_dtype), static_cast<int>(act)),
                  dst, want.values(), bound);
        }
      }
    }
  }
}

// dst += gate * y: y's error times the gate, one rounding of the product, one of the sum.
TEST_P(LinearTest, LinearGatedAdd) {
  int round = 0;
  for (const Sizes& s : kSizes) {
    for (DType src : kActivationDtypes) {
      for (DType dst_dtype : kActivationDtypes) {
        const bool gated = round % 3 != 2;
        const DType weight = kWeightDtypes[round % 3];
        const int64_t gap = round++ % 2 == 0 ? 3 : 0;
        Product p = Make(s, src, weight, round % 2 == 0, gap);
        Draw draw(static_cast<uint32_t>(round));
        const HostTensor gate = draw.Tensor(DType::kF32, {s.n});
        const Values before = draw(dst_dtype, s.t * s.n), g = gate.values();
        HostTensor dst(dst_dtype, {s.t, s.n}, before, gap), want(DType::kF32, {s.t, s.n}, before);
        const ConstTensorView gate_view = gated ? gate.view() : ConstTensorView();
        ops->LinearGatedAdd(p.src.view(), *p.tested, gate_view, dst.view());
        oracle->LinearGatedAdd(p.src.view(), *p.exact, gate_view, want.view());
        const Values total = want.values();
        Values bound = p.size;
        for (size_t i = 0; i < bound.size(); ++i) {
          const double size = gated ? std::abs(g[i % static_cast<size_t>(s.n)]) : 1;
          bound[i] = size * (p.roundings * p.size[i] + 2 * kU32 * std::abs(p.want[i])) +
                     kU32 * std::abs(total[i]);
        }
        Compare("LinearGatedAdd",
                fmt::format("[{},{}]x[{},{}] {} {} -> {}{}", s.t, s.k, s.n, s.k, Name(src),
                            Name(weight), Name(dst_dtype), gated ? " gated" : ""),
                dst, total, bound);
      }
    }
  }
}

// Diffusers keeps q, k and v apart: stacking them is no arithmetic, so the results are equal.
TEST_P(LinearTest, RowPartsEqualOneMatrix) {
  constexpr int64_t kT = 17, kK = 65, kParts[] = {33, 1, 63};
  for (DType weight : kWeightDtypes) {
    for (bool bias : {false, true}) {
      Draw draw(5);
      const HostTensor src = draw.Tensor(DType::kF32, {kT, kK}),
                       whole = draw.Tensor(weight, {97, kK}),
                       whole_bias = draw.Tensor(weight, {97});
      LinearSource parts;
      int64_t n0 = 0;
      for (int64_t n : kParts) {
        parts.weight.push_back(whole.view().Rows(n0, n0 + n));
        if (bias) parts.bias.push_back(whole_bias.view().Rows(n0, n0 + n));
        n0 += n;
      }
      const auto one = Prepare(*ops, whole, bias ? &whole_bias : nullptr);
      const auto several = ops->PrepareLinear(parts);
      ASSERT_TRUE(several.ok()) << several.message();
      EXPECT_EQ((*several)->out_features, 97);
      HostTensor a(DType::kF32, {kT, 97}), b(DType::kF32, {kT, 97});
      ops->Linear(src.view(), *one, Activation::kGeluTanh, a.view());
      ops->Linear(src.view(), **several, Activation::kGeluTanh, b.view());
      CompareExactly("Linear", "of row parts", b, a);
    }
  }
}

// An encoding of the test's own: bf16 values scaled by a power of two, so that decoding is exact.
class Halved final : public EncodedMatrix {
 public:
  explicit Halved(const HostTensor& twice)
      : EncodedMatrix(twice.view().dim(0), twice.view().dim(1)), twice_(twice.view()) {}
  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    EXPECT_EQ(begin % kGranule, 0);
    EXPECT_TRUE(end == columns || end % kGranule == 0);
    for (int64_t k = begin; k < end; ++k) {
      out[k - begin] = 0.5f * ToFloat(twice_.As<BF16>()[row * columns + k]);
    }
  }
  void Touches(int64_t, int64_t, std::vector<ByteSpan>&) const override {}
  std::string encoding() const override { return "halved"; }

 private:
  ConstTensorView twice_;
};

// A part in an encoding, of which some rows are used, between parts of different dtypes.
TEST_P(LinearTest, EncodedPartsCountAsTheirValues) {
  for (int64_t k : {1, 255, 256, 257, 600}) {
    const Sizes s{9, k, 70};
    Draw draw(static_cast<uint32_t>(k));
    const HostTensor src = draw.Tensor(DType::kF32, {s.t, k}),
                     top = draw.Tensor(DType::kF16, {30, k}),
                     coded = draw.Tensor(DType::kBF16, {40, k}),
                     bottom = draw.Tensor(DType::kF32, {5, k});
    const auto halved = std::make_shared<Halved>(coded);
    const WeightRows part = WeightRows(halved, {40, k}).Rows(3, 38);
    const auto tested = ops->PrepareLinear({{top.view(), part, bottom.view()}, {}});
    ASSERT_TRUE(tested.ok()) << tested.message();
    Values dense = top.values();
    const Values twice = coded.values(), rest = bottom.values();
    for (int64_t i = 3 * k; i < 38 * k; ++i) dense.push_back(0.5 * twice[static_cast<size_t>(i)]);
    dense.insert(dense.end(), rest.begin(), rest.end());
    if (Nudged()) dense.back() *= 1.01;
    const HostTensor weight(DType::kF32, {s.n, k}, dense), abs(DType::kF32, {s.n, k}, Abs(dense)),
        abs_src(DType::kF32, {s.t, k}, Abs(src.values()));
    HostTensor dst(DType::kF32, {s.t, s.n});
    ops->Linear(src.view(), **tested, Activation::kNone, dst.view());
    Values bound = Exactly(abs_src, *Prepare(*oracle, abs, nullptr), s);
    for (double& b : bound) {
      b *= static_cast<double>(k) * kU32 + Narrowing(DType::kF32) + Narrowing(DType::kF32);
    }
    Compare("Linear", fmt::format("K {} of an encoded part", k), dst,
            Exactly(src, *Prepare(*oracle, weight, nullptr), s), bound);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, LinearTest, testing::ValuesIn(Configs()), ConfigName);

}  // namespace
}  // namespace kontext::conformance
