// The checks of the public functions: every wrong call is an error that names op, argument, got and
// expected; the first failure stays and stops what follows; nothing thrown below gets out.
#include "compute/ops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <new>
#include <stdexcept>
#include <vector>

#include "compute/reference/reference_ops.h"

namespace kontext {
namespace {

using testing::HasSubstr;

// A dense tensor of zeros that lives as long as the test.
class Memory {
 public:
  TensorView operator()(const Shape& shape, DType dtype = DType::kF32) {
    blocks_.push_back(*Tensor::Allocate(dtype, shape));
    TensorView v = blocks_.back().view();
    std::fill(v.data(), v.data() + blocks_.back().bytes(), std::byte{0});
    return v;
  }

 private:
  std::vector<Tensor> blocks_;
};

TensorView WithStride(TensorView v, int i, int64_t stride) {
  v.SetStride(i, stride);
  return v;
}

struct WrongCall {
  const char* message;
  std::function<void(Ops&, Memory&)> call;
};

void ExpectRefused(const std::vector<WrongCall>& calls) {
  ReferenceOps ops(DType::kF32);
  for (const WrongCall& wrong : calls) {
    Memory memory;
    wrong.call(ops, memory);
    const Status status = ops.TakeStatus();
    EXPECT_FALSE(status.ok()) << "accepted, expected: " << wrong.message;
    EXPECT_THAT(status.message(), HasSubstr(wrong.message));
  }
}

std::unique_ptr<LinearWeights> Linear34(Ops& ops, Memory& m) {  // N 3, K 4
  return std::move(*ops.PrepareLinear({{m({3, 4})}, {}}));
}
std::unique_ptr<ConvWeights> Conv(Ops& ops, Memory& m) {  // N 4, C 2, 3x3
  return std::move(*ops.PrepareConv(m({4, 2, 3, 3}), m({4})));
}

constexpr Activation kNone = Activation::kNone;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(OpsCheckTest, Linear) {
  const auto linear = [](ConstTensorView src, TensorView dst) {
    return [=](Ops& o, Memory& m) { o.Linear(src, *Linear34(o, m), kNone, dst); };
  };
  Memory m;
  ExpectRefused({
      {"Linear: src is [2,5], expected [T,4]", linear(m({2, 5}), m({2, 3}))},
      {"Linear: src is [4], expected [T,4]", linear(m({4}), m({2, 3}))},
      {"Linear: src is [], expected [T,4]", linear({}, m({2, 3}))},
      {"Linear: dst is [2,4], expected [2,3]", linear(m({2, 4}), m({2, 4}))},
      {"Linear: dst is [1,3], expected [2,3]", linear(m({2, 4}), m({1, 3}))},
      {"Linear: src [2,4] is F16, expected F32 or BF16", linear(m({2, 4}, DType::kF16), m({2, 3}))},
      {"Linear: dst [2,3] is I32, expected F32", linear(m({2, 4}), m({2, 3}, DType::kI32))},
      {"Linear: src [2,4] has strides [4,2]", linear(WithStride(m({2, 4}), 1, 2), m({2, 3}))},
      {"Linear: src [2,4] has strides [3,1]", linear(WithStride(m({2, 4}), 0, 3), m({2, 3}))},
      {"Linear: dst [2,3] has strides [-3,1]", linear(m({2, 4}), WithStride(m({2, 3}), 0, -3))},
      {"Linear: src [2,4] has no memory",
       linear(ConstTensorView(nullptr, DType::kF32, {2, 4}), m({2, 3}))},
      {"Linear: src [1,4] F32 does not begin on a multiple of 4 bytes",
       linear(ConstTensorView(m({2, 4}).data() + 2, DType::kF32, {1, 4}), m({1, 3}))},
      {"LinearGatedAdd: gate is [4], expected [3]",
       [](Ops& o, Memory& n) {
         o.LinearGatedAdd(n({2, 4}), *Linear34(o, n), n({4}), n({2, 3}));
       }},
      {"ModulatedLinear: scale is [1], expected [4]",
       [](Ops& o, Memory& n) {
         o.ModulatedLinear(n({2, 4}), {n({4}), n({1}), 1e-6f}, *Linear34(o, n), kNone, n({2, 3}));
       }},
      {"ModulatedLinear: shift is [], expected [4]",
       [](Ops& o, Memory& n) {
         o.ModulatedLinear(n({2, 4}), {{}, n({4}), 1e-6f}, *Linear34(o, n), kNone, n({2, 3}));
       }},
      {"ModulatedLinear: eps is 0, expected",
       [](Ops& o, Memory& n) {
         o.ModulatedLinear(n({2, 4}), {n({4}), n({4}), 0}, *Linear34(o, n), kNone, n({2, 3}));
       }},
      {"ModulatedMlp: weights are [3,4] and [3,4], expected [F,D] and [D,A+F]",
       [](Ops& o, Memory& n) {
         const auto w = Linear34(o, n);
         o.ModulatedMlp(n({2, 4}), {n({4}), n({4}), 1e-6f}, *w, *w, n({4}), n({2, 4}));
       }},
      {"ModulatedMlp: operand is [2,3], expected [2,5]",
       [](Ops& o, Memory& n) {
         const auto out = std::move(*o.PrepareLinear({{n({4, 5})}, {}}));
         o.ModulatedMlp(n({2, 3}), {n({4}), n({4}), 1e-6f}, *Linear34(o, n), *out, n({4}),
                        n({2, 4}));
       }},
      {"Linear: src and dst share memory",
       [](Ops& o, Memory& n) {
         auto w = o.PrepareLinear({{n({4, 4})}, {}});
         const TensorView x = n({2, 4});
         o.Linear(x, **w, kNone, x);
       }},
  });
}

TEST(OpsCheckTest, Prepare) {
  ReferenceOps ops(DType::kF32);
  Memory m;
  const auto linear = [&](const LinearSource& s) { return ops.PrepareLinear(s).message(); };
  EXPECT_THAT(linear({}), HasSubstr("PrepareLinear: no weight"));
  EXPECT_THAT(linear({{m({3, 4}), m({2, 5})}, {}}),
              HasSubstr("weight part 1 is [2,5], expected [n,4]"));
  EXPECT_THAT(linear({{m({3, 4}), m({3, 4}, DType::kI8)}, {}}),
              HasSubstr("weight part 1 [3,4] is I8, expected F32, BF16 or F16"));
  EXPECT_THAT(linear({{m({3, 4})}, {m({4})}}), HasSubstr("bias part 0 is [4], expected [3]"));
  EXPECT_THAT(linear({{m({3, 4})}, {m({3}), m({3})}}),
              HasSubstr("2 bias parts, expected none or 1"));
  EXPECT_THAT(linear({{m({3, 4}, DType::kI8)}, {}}), HasSubstr("is I8, expected F32, BF16 or F16"));
  EXPECT_THAT(linear({{m({0, 4})}, {}}), HasSubstr("is [0,4]"));
  EXPECT_THAT(linear({{WithStride(m({3, 4}), 0, 5)}, {}}), HasSubstr("has strides [5,1]"));
  EXPECT_THAT(ops.PrepareConv(m({4, 2, 3, 1}), m({4})).message(),
              HasSubstr("PrepareConv: weight is [4,2,3,1], expected [N,C,k,k]"));
  EXPECT_THAT(ops.PrepareConv(m({4, 2, 3, 3}), m({2})).message(),
              HasSubstr("PrepareConv: bias is [2], expected [4]"));
  EXPECT_TRUE(ops.TakeStatus().ok());  // a refused weight is its caller's Result, not a failed op
}

TEST(OpsCheckTest, Attention) {
  struct Sizes {
    Shape q, k, v, dst, bias;
    bool causal = false;
    float scale = 1;
  };
  const auto attend = [](const Sizes& s) {
    return [=](Ops& o, Memory& m) {
      AttentionOptions options{.scale = s.scale, .causal = s.causal, .relative_bias = {}};
      if (s.bias.rank() > 0) options.relative_bias = m(s.bias);
      o.Attention(m(s.q), m(s.k), m(s.v), options, m(s.dst));
    };
  };
  const Shape q = {2, 3, 8}, k = {2, 5, 8}, dst = {3, 16};
  ExpectRefused({
      {"Attention: q is [3,8], expected [H,T,E]", attend({{3, 8}, k, k, dst, {}})},
      {"Attention: k is [1,5,8], expected [2,S,8]", attend({q, {1, 5, 8}, k, dst, {}})},
      {"Attention: k is [2,0,8], expected [2,S,8]", attend({q, {2, 0, 8}, k, dst, {}})},
      {"Attention: v is [2,4,8], expected [2,5,8]", attend({q, k, {2, 4, 8}, dst, {}})},
      {"Attention: dst is [5,16], expected [3,16]", attend({q, k, k, {5, 16}, {}})},
      {"Attention: dst is [2,3,8], expected [3,16]", attend({q, k, k, {2, 3, 8}, {}})},
      {"Attention: relative_bias is [2,8], expected [2,7]", attend({q, k, k, dst, {2, 8}})},
      {"Attention: causal with 3 queries and 5 keys", attend({q, k, k, dst, {}, true})},
      {"Attention: scale is nan", attend({q, k, k, dst, {}, false, kNan})},
  });
}

TEST(OpsCheckTest, Norms) {
  ExpectRefused({
      {"LayerNorm: weight is [4], expected [5]",
       [](Ops& o, Memory& m) {
         o.LayerNorm(m({2, 5}), m({4}), m({5}), 1e-6f, m({2, 5}));
       }},
      {"LayerNorm: one of weight and bias is empty",
       [](Ops& o, Memory& m) {
         o.LayerNorm(m({2, 5}), m({5}), {}, 1e-6f, m({2, 5}));
       }},
      {"LayerNorm: eps is 0, expected",
       [](Ops& o, Memory& m) {
         o.LayerNorm(m({2, 5}), {}, {}, 0, m({2, 5}));
       }},
      {"LayerNorm: eps is nan, expected",
       [](Ops& o, Memory& m) {
         o.LayerNorm(m({2, 5}), {}, {}, kNan, m({2, 5}));
       }},
      {"RmsNorm: weight [5] is BF16, expected F32",
       [](Ops& o, Memory& m) {
         o.RmsNorm(m({2, 5}), m({5}, DType::kBF16), 1e-6f, m({2, 5}));
       }},
      {"RmsNorm: dst is [5,2], expected [2,5]",
       [](Ops& o, Memory& m) {
         o.RmsNorm(m({2, 5}), m({5}), 1e-6f, m({5, 2}));
       }},
      {"RmsNorm: src has no dimensions",
       [](Ops& o, Memory& m) {
         o.RmsNorm({}, m({5}), 1e-6f, m({5, 2}));
       }},
      {"GroupNorm: 3 groups, expected a divisor of 8 channels",
       [](Ops& o, Memory& m) {
         o.GroupNorm(m({2, 2, 8}), m({8}), m({8}), 3, 1e-6f, kNone, m({2, 2, 8}));
       }},
      {"GroupNorm: 0 groups",
       [](Ops& o, Memory& m) {
         o.GroupNorm(m({2, 2, 8}), m({8}), m({8}), 0, 1e-6f, kNone, m({2, 2, 8}));
       }},
      {"GroupNorm: src [2,2,8] has strides [17,8,1], expected those of a tensor without gaps",
       [](Ops& o, Memory& m) {
         o.GroupNorm(WithStride(m({2, 2, 8}), 0, 17), m({8}), m({8}), 2, 1e-6f, kNone,
                     m({2, 2, 8}));
       }},
  });
}

TEST(OpsCheckTest, Heads) {
  ExpectRefused({
      {"Rope: heads have 5 channels, expected an even number",
       [](Ops& o, Memory& m) {
         o.Rope(m({2, 3, 5}), m({3, 2, 2}), m({2, 3, 5}));
       }},
      {"Rope: rope is [3,6,2], expected [3,3,2]",
       [](Ops& o, Memory& m) {
         o.Rope(m({2, 3, 6}), m({3, 6, 2}), m({2, 3, 6}));
       }},
      {"Rope: src F32 strides [18,6,1] and dst F32 strides [6,12,1] share memory",
       [](Ops& o, Memory& m) {
         const TensorView x = m({2, 3, 6});
         o.Rope(x, m({3, 3, 2}), WithStride(WithStride(x, 0, 6), 1, 12));
       }},
      {"SplitHeadsNormRope: src is [3,10], expected [3,12]",
       [](Ops& o, Memory& m) {
         o.SplitHeadsNormRope(m({3, 10}), {}, 1, {}, m({2, 3, 6}));
       }},
      {"SplitHeadsNormRope: norm is [12], expected [6]",
       [](Ops& o, Memory& m) {
         o.SplitHeadsNormRope(m({3, 12}), m({12}), 1, {}, m({2, 3, 6}));
       }},
      {"SplitHeadsNormRope: eps is 0",
       [](Ops& o, Memory& m) {
         o.SplitHeadsNormRope(m({3, 12}), m({6}), 0, {}, m({2, 3, 6}));
       }},
      {"SplitHeadsNormRope: rope is [2,3,2], expected [3,3,2]",
       [](Ops& o, Memory& m) {
         o.SplitHeadsNormRope(m({3, 12}), {}, 1, m({2, 3, 2}), m({2, 3, 6}));
       }},
      {"SplitHeadsNormRope: heads have 1 channels, expected an even number",
       [](Ops& o, Memory& m) {
         o.SplitHeadsNormRope(m({3, 2}), {}, 1, m({3, 1, 2}), m({2, 3, 1}));
       }},
  });
}

TEST(OpsCheckTest, Pictures) {
  const auto conv = [](const Shape& src, const ConvOptions& options, const Shape& dst) {
    return [=](Ops& o, Memory& m) { o.Conv2d(m(src), *Conv(o, m), options, m(dst)); };
  };
  ExpectRefused({
      {"Conv2d: src is [5,7,3], expected [h,w,2]", conv({5, 7, 3}, {}, {5, 7, 4})},
      {"Conv2d: dst is [5,7,2], expected [5,7,4]", conv({5, 7, 2}, {}, {5, 7, 2})},
      {"Conv2d: dst is [3,4,4], expected [2,3,4]", conv({5, 7, 2}, {2, 0, 0}, {3, 4, 4})},
      {"Conv2d: dst is [2,3,4], expected [3,4,4]", conv({6, 8, 2}, {2, 0, 1}, {2, 3, 4})},
      {"Conv2d: stride is 0, expected at least 1", conv({5, 7, 2}, {0, 1, 1}, {5, 7, 4})},
      {"Conv2d: pads are -1 and 1, expected 0 to 2", conv({5, 7, 2}, {1, -1, 1}, {5, 7, 4})},
      {"Conv2d: pads are 1 and 3, expected 0 to 2", conv({5, 7, 2}, {1, 1, 3}, {5, 7, 4})},
      {"Conv2d: src [2,7,2] with pads 0 and 0 is smaller than 3x3",
       conv({2, 7, 2}, {1, 0, 0}, {1, 5, 4})},
      {"Conv2dAdd: residual is [5,7,2], expected [5,7,4]",
       [](Ops& o, Memory& m) {
         o.Conv2dAdd(m({5, 7, 2}), *Conv(o, m), {}, m({5, 7, 2}), m({5, 7, 4}));
       }},
      {"Upsample2x: dst is [4,5,3], expected [4,6,3]",
       [](Ops& o, Memory& m) {
         o.Upsample2x(m({2, 3, 3}), m({4, 5, 3}));
       }},
  });
}

TEST(OpsCheckTest, Elementwise) {
  ExpectRefused({
      {"Activate: dst is [3,2], expected [2,3]",
       [](Ops& o, Memory& m) {
         o.Activate(m({2, 3}), kNone, m({3, 2}));
       }},
      {"Add: b is [2,1], expected [2,3]",
       [](Ops& o, Memory& m) {
         o.Add(m({2, 3}), m({2, 1}), m({2, 3}));
       }},
      {"Multiply: dst is [6], expected [2,3]",
       [](Ops& o, Memory& m) {
         o.Multiply(m({2, 3}), m({2, 3}), m({6}));
       }},
      {"Add: src BF16 strides [1] and dst F32 strides [1] share memory",
       [](Ops& o, Memory& m) {
         const TensorView x = m({2}, DType::kF32);
         o.Add(m({2}), TensorView(x.data(), DType::kBF16, {2}), x);
       }},
      {"GatedAdd: gate is [2], expected [3]",
       [](Ops& o, Memory& m) {
         o.GatedAdd(m({2, 3}), m({2}), m({2, 3}));
       }},
      {"Copy: src [2] is I32, expected F32, BF16 or F16",
       [](Ops& o, Memory& m) { o.Copy(m({2}, DType::kI32), m({2})); }},
      {"Copy: dst [2] has strides [0], expected all above 0",
       [](Ops& o, Memory& m) { o.Copy(m({2}), WithStride(m({2}), 0, 0)); }},
      {"Copy: src [2] has strides [-1], expected none below 0",
       [](Ops& o, Memory& m) { o.Copy(WithStride(m({2}), 0, -1), m({2})); }},
      {"GatherRows: ids [2] is F32, expected I32",
       [](Ops& o, Memory& m) {
         o.GatherRows(m({5, 3}), m({2}), m({2, 3}));
       }},
  });
}

TEST(OpsCheckTest, GatherRowsRefusesIdsOutsideTheTable) {
  ReferenceOps ops(DType::kF32);
  Memory m;
  for (int32_t bad : {-1, 5, std::numeric_limits<int32_t>::max()}) {
    const std::vector<int32_t> ids = {4, bad};
    ops.GatherRows(m({5, 3}), ViewOf(ids.data(), {2}), m({2, 3}));
    EXPECT_EQ(ops.TakeStatus().message(),
              fmt::format("GatherRows: ids[1] is {}, expected 0 to 4", bad));
  }
}

TEST(OpsTest, NoRowsAreNoWork) {
  ReferenceOps ops(DType::kF32);
  Memory m;
  ops.Copy(m({3, 4}).Rows(3, 3), m({0, 4}));
  ops.Linear(TensorView(nullptr, DType::kF32, {0, 4}), *Linear34(ops, m), kNone, m({0, 3}));
  ops.GatedAdd(m({0, 4}), {}, m({0, 4}));
  const Status status = ops.TakeStatus();
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(OpsTest, FirstFailureStaysAndStopsLaterOps) {
  ReferenceOps ops(DType::kF32);
  std::vector<float> x = {1, 2}, y = {5, 5};
  const TensorView src = ViewOf(x.data(), {2}), dst = ViewOf(y.data(), {2});
  Memory m;
  ops.Add(src, m({3}), dst);       // fails first
  ops.Multiply(src, m({4}), dst);  // would fail, too
  ops.Add(src, src, dst);          // would work
  EXPECT_EQ(y, (std::vector<float>{5, 5}));
  EXPECT_THAT(ops.TakeStatus().message(), HasSubstr("Add: b is [3]"));
  EXPECT_TRUE(ops.TakeStatus().ok());  // taken is cleared
  ops.Add(src, src, dst);
  EXPECT_EQ(y, (std::vector<float>{2, 4}));
  EXPECT_TRUE(ops.TakeStatus().ok());
}

// What a library below might throw.
class ThrowingOps : public ReferenceOps {
 public:
  ThrowingOps() : ReferenceOps(DType::kF32) {}

 private:
  Result<std::unique_ptr<LinearWeights>> DoPrepareLinear(const LinearSource&) override {
    throw std::bad_alloc();
  }
  void DoAdd(ConstTensorView, ConstTensorView, TensorView) override { throw std::bad_alloc(); }
  void DoMultiply(ConstTensorView, ConstTensorView, TensorView) override {
    throw std::runtime_error("no primitive");
  }
  void DoCopy(ConstTensorView, TensorView) override { throw 7; }
};

TEST(OpsTest, ExceptionsBecomeFailures) {
  ThrowingOps ops;
  Memory m;
  const TensorView x = m({2}), y = m({2});
  EXPECT_EQ(ops.PrepareLinear({{m({3, 4})}, {}}).code(), Code::kNoSpace);
  ops.Add(x, x, y);
  Status status = ops.TakeStatus();
  EXPECT_EQ(status.code(), Code::kNoSpace);
  EXPECT_THAT(status.message(), HasSubstr("Add: not enough memory"));
  ops.Multiply(x, x, y);
  status = ops.TakeStatus();
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_EQ(status.message(), "Multiply: no primitive");
  ops.Copy(x, y);
  EXPECT_EQ(ops.TakeStatus().message(), "Copy: an exception of unknown type");
}

TEST(OpsTest, WeightsOfAnotherBackendAreRefused) {
  struct Foreign : LinearWeights, ConvWeights {
    Foreign() : LinearWeights(3, 4, false), ConvWeights(4, 2, 3) {}
  } foreign;
  ReferenceOps ops(DType::kF32);
  Memory m;
  ops.Linear(m({2, 4}), foreign, kNone, m({2, 3}));
  EXPECT_EQ(ops.TakeStatus().message(), "Linear: weights of another backend");
  ops.Conv2d(m({5, 5, 2}), foreign, {}, m({5, 5, 4}));
  EXPECT_EQ(ops.TakeStatus().message(), "Conv2d: weights of another backend");
}

TEST(OpsTest, TraceCountsCallsAndOperations) {
  ReferenceOps ops(DType::kF32);
  Memory m;
  const auto w = Linear34(ops, m);
  const auto conv = Conv(ops, m);
  ops.Linear(m({2, 4}), *w, kNone, m({2, 3}));
  EXPECT_TRUE(ops.trace().empty());  // off until asked for
  ops.StartTrace();
  ops.Linear(m({2, 4}), *w, kNone, m({2, 3}));
  ops.Linear(m({2, 4}), *w, kNone, m({2, 3}));
  ops.Linear(m({5, 4}), *w, kNone, m({5, 3}));
  ops.LinearGatedAdd(m({1, 4}), *w, {}, m({1, 3}));
  ops.Attention(m({2, 3, 8}), m({2, 5, 8}), m({2, 5, 8}), {}, m({3, 16}));
  ops.Conv2d(m({5, 7, 2}), *conv, {}, m({5, 7, 4}));
  ops.Activate(m({1}), kNone, m({1}));
  std::vector<OpTrace> trace = ops.trace();
  ASSERT_EQ(trace.size(),
            6u);  // by op and size; the plain ops inside a fused one are not counted again
  for (size_t i = 1; i < trace.size(); ++i) EXPECT_GE(trace[i - 1].seconds, trace[i].seconds);
  const auto of = [&](const std::string& op, int64_t rows) {
    for (const OpTrace& t : trace) {
      if (t.op == op && (rows < 0 || t.result[0] == rows)) return t;
    }
    return OpTrace{};
  };
  const auto operations = [&](const std::string& op) { return of(op, -1).operations; };
  EXPECT_EQ(of("Linear", 2).calls, 2);
  EXPECT_EQ(of("Linear", 2).bytes, 2.0 * 4 * (2 * 4 + 2 * 3));
  EXPECT_EQ(of("Linear", 5).operations, 2.0 * 5 * 4 * 3);
  EXPECT_EQ(operations("LinearGatedAdd"), 2.0 * 4 * 3);
  EXPECT_EQ(operations("Attention"), 4.0 * 3 * 5 * 16);
  EXPECT_EQ(operations("Conv2d"), 2.0 * 5 * 7 * 4 * 2 * 9);
  EXPECT_EQ(operations("Activate"), 0);
  ops.StartTrace();
  EXPECT_TRUE(ops.trace().empty());
}

}  // namespace
}  // namespace kontext
