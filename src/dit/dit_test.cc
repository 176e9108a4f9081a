// The run without its arithmetic: memory, cancelling, and inputs that do not fit. The numbers are
// in tests/golden/dit_test.cc.
#include "dit/dit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>

namespace {
std::atomic<int64_t> allocations = 0;
}  // namespace

// Not inlined: gcc would take the free() for one of a foreign allocation.
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace kontext {
namespace {

using testing::HasSubstr;

// A backend that checks every call and computes nothing.
class IdleOps : public Ops {
 public:
  std::string_view name() const override { return "idle"; }
  DType activation_dtype() const override { return DType::kBF16; }

 private:
  using In = ConstTensorView;
  using Out = TensorView;
  Result<std::unique_ptr<LinearWeights>> DoPrepareLinear(const LinearSource&) override {
    return Internal("idle");
  }
  Result<std::unique_ptr<ConvWeights>> DoPrepareConv(In, In) override { return Internal("idle"); }
  void DoLinear(In, const LinearWeights&, Activation, Out) override {}
  void DoAttention(In, In, In, const AttentionOptions&, Out) override {}
  void DoLayerNorm(In, In, In, float, Out) override {}
  void DoRmsNorm(In, In, float, Out) override {}
  void DoGroupNorm(In, In, In, int, float, Activation, Out) override {}
  void DoRope(In, In, Out) override {}
  void DoConv2d(In, const ConvWeights&, const ConvOptions&, Out) override {}
  void DoUpsample2x(In, Out) override {}
  void DoActivate(In, Activation, Out) override {}
  void DoAdd(In, In, Out) override {}
  void DoMultiply(In, In, Out) override {}
  void DoGatedAdd(In, In, Out) override {}
  void DoCopy(In, Out) override {}
  void DoGatherRows(In, In, Out) override {}
  void DoLinearGatedAdd(In, const LinearWeights&, In, Out) override {}
  void DoModulatedLinear(In, const RowModulation&, const LinearWeights&, Activation, Out) override {
  }
  void DoModulatedMlp(Out, const RowModulation&, const LinearWeights&, const LinearWeights&, In,
                      Out) override {}
  void DoSplitHeadsNormRope(In, In, float, In, Out) override {}
};

// Handles of the right sizes.
class ShapeVisitor : public WeightVisitor {
 public:
  void LinearRows(const std::string&, LinearPtr& w, RowRange rows, int64_t, int64_t in,
                  Bias bias) override {
    w = std::make_unique<LinearWeights>(rows.end - rows.begin, in, bias == Bias::kYes);
  }
  void Conv(const std::string&, ConvPtr&, int64_t, int64_t, int64_t) override {}
  void Vector(const std::string&, VectorWeights& w, int64_t n) override {
    w.values = std::move(*Tensor::Allocate(DType::kF32, {n}));
  }
  void Table(const std::string&, TableWeights&, int64_t, int64_t) override {}
};

class DitRunTest : public testing::Test {
 protected:
  DitRunTest() {
    config_ = {.in_channels = 16,
               .out_channels = 12,
               .vec = 24,
               .context = 40,
               .hidden = 64,
               .heads = 2,
               .mlp = 256,
               .depth = 2,
               .depth_single = 3,
               .axes = {8, 12, 12}};
    ShapeVisitor visitor;
    VisitDit(config_, weights_, visitor);
    inputs_.txt = ViewOf(std::as_const(txt_).data(), {5, 40});
    inputs_.pooled = ViewOf(std::as_const(pooled_).data(), {24});
    inputs_.ids.resize(5 + 6 + 4);
    inputs_.target_tokens = 6;
    inputs_.timesteps = {1.0f, 0.5f};
  }
  Result<std::unique_ptr<DitRun>> Create(Observer* observer = nullptr) {
    return DitRun::Create(config_, weights_, inputs_, ops_, observer);
  }
  Status Forward(DitRun& run, int step) {
    return run.Forward(step, ViewOf(std::as_const(tokens_).data(), {10, 16}),
                       ViewOf(velocity_.data(), {6, 12}));
  }
  void ExpectRefused(Code code, const char* what) {
    const auto run = Create();
    EXPECT_EQ(run.code(), code);
    EXPECT_THAT(run.message(), HasSubstr(what));
  }

  DitConfig config_;
  DitWeights weights_;
  DitInputs inputs_;
  IdleOps ops_;
  std::vector<float> txt_ = std::vector<float>(5 * 40), pooled_ = std::vector<float>(24),
                     tokens_ = std::vector<float>(10 * 16), velocity_ = std::vector<float>(6 * 12);
};

TEST_F(DitRunTest, AllocatesNothingInAStep) {
  const auto run = Create();
  ASSERT_TRUE(run.ok()) << run.message();
  const int64_t before = allocations;
  const Status first = Forward(**run, 0), second = Forward(**run, 1);
  EXPECT_EQ(allocations - before, 0);
  EXPECT_TRUE(first.ok()) << first.message();
  EXPECT_TRUE(second.ok()) << second.message();
}

TEST_F(DitRunTest, AllocatesWhatWasPlanned) {
  int64_t without = 0;
  for (const bool keep : {false, true}) {
    inputs_.keep_reference = keep;
    const auto run = Create();
    ASSERT_TRUE(run.ok());
    const auto planned = DitRunBytes(config_, {5, 6, 4, 2, keep}, DType::kBF16);
    ASSERT_TRUE(planned.ok());
    EXPECT_EQ((*run)->activation_bytes(), *planned);
    // k and v of 4 reference tokens, 64 wide, in bf16, of 5 blocks
    if (keep) {
      EXPECT_EQ(*planned - without, 5 * 2 * 4 * 64 * 2);
    }
    without = *planned;
  }
}

TEST_F(DitRunTest, ReusesOnlyWhatAFullPassHasKept) {
  const auto reuse = [&](DitRun& run) {
    return run.ForwardReusing(0, ViewOf(std::as_const(tokens_).data(), {10, 16}),
                              ViewOf(velocity_.data(), {6, 12}));
  };
  const auto forgets = Create();
  ASSERT_TRUE(forgets.ok() && Forward(**forgets, 0).ok());
  EXPECT_EQ(reuse(**forgets).code(), Code::kInternal);
  inputs_.keep_reference = true;
  const auto keeps = Create();
  ASSERT_TRUE(keeps.ok());
  EXPECT_EQ(reuse(**keeps).code(), Code::kInternal);
  ASSERT_TRUE(Forward(**keeps, 0).ok());
  EXPECT_TRUE(reuse(**keeps).ok());
}

// 1024x1024 with a reference of that size, 28 steps: T = 512 + 2 * 4096 tokens.
TEST(DitRunBytes, OfKontextDev) {
  const DitConfig c;
  const DitPlan plan{512, 4096, 4096, 28};
  const int64_t T = plan.tokens(), D = c.hidden, S = plan.steps;
  const int64_t f32 = 4 * (T * 64 * 2 + 512 * D              // rope, txt
                           + S * D * (19 * 12 + 38 * 3 + 2)  // modulations
                           + S * 256 + 2 * S * D + D         // their inputs
                           + T * D);                         // the residual stream
  const int64_t of_block = T * D * (3 + 5);                  // q, k, v, wide
  for (const auto& [dtype, bytes] :
       {std::pair{DType::kF32, int64_t{4}}, {DType::kBF16, int64_t{2}}}) {
    const auto planned = DitRunBytes(c, plan, dtype);
    ASSERT_TRUE(planned.ok()) << planned.message();
    EXPECT_EQ(*planned, f32 + bytes * of_block);
    printf("%s: %ld MiB\n", std::string(Name(dtype)).c_str(), static_cast<long>(*planned >> 20));
  }
}

TEST(DitRunBytes, RefusesWhatCannotBe) {
  EXPECT_EQ(DitRunBytes({}, {512, int64_t{1} << 60, 0, 28}, DType::kF32).code(), Code::kUsage);
  EXPECT_EQ(DitRunBytes({}, {512, -1, 0, 28}, DType::kF32).code(), Code::kUsage);
  EXPECT_EQ(DitRunBytes({}, {512, 0, 0, 28}, DType::kF32).code(), Code::kUsage);
  EXPECT_EQ(DitRunBytes({}, {512, 1, 0, 0}, DType::kF32).code(), Code::kUsage);
  const auto config = [](auto change) {
    DitConfig c;
    change(c);
    return DitRunBytes(c, {1, 1, 0, 1}, DType::kF32).code();
  };
  EXPECT_EQ(config([](DitConfig&) {}), Code::kOk);
  EXPECT_EQ(config([](DitConfig& c) { c.hidden = int64_t{1} << 62; }), Code::kBadInput);
  EXPECT_EQ(config([](DitConfig& c) { c.heads = 0; }), Code::kBadInput);
  EXPECT_EQ(config([](DitConfig& c) { c.heads = 7; }), Code::kBadInput);
  EXPECT_EQ(config([](DitConfig& c) { c.axes = {16, 56, 54}; }), Code::kBadInput);
  EXPECT_EQ(config([](DitConfig& c) { c.axes = {15, 57, 56}; }), Code::kBadInput);
  EXPECT_EQ(config([](DitConfig& c) { c.depth = -1; }), Code::kBadInput);
  EXPECT_EQ(config([](DitConfig& c) { c.theta = NAN; }), Code::kBadInput);
}

class StopAfter : public Observer {
 public:
  explicit StopAfter(int blocks) : left_(blocks) {}
  bool Cancelled() override {
    ++asked;
    return left_-- == 0;
  }
  int asked = 0;

 private:
  int left_;
};

TEST_F(DitRunTest, AsksOncePerBlockWhetherToStop) {
  StopAfter never(-1);
  const auto run = Create(&never);
  ASSERT_TRUE(run.ok());
  EXPECT_TRUE(Forward(**run, 0).ok());
  EXPECT_EQ(never.asked, 5);
  for (const int after : {0, 1, 2, 4}) {
    StopAfter observer(after);
    const auto stopped = Create(&observer);
    ASSERT_TRUE(stopped.ok());
    EXPECT_EQ(Forward(**stopped, 0).code(), Code::kCancelled);
    EXPECT_EQ(observer.asked, after + 1);
  }
}

TEST_F(DitRunTest, RefusesInputsThatDoNotFit) {
  const DitInputs good = inputs_;
  inputs_.ids.pop_back(), inputs_.ids.resize(8);
  ExpectRefused(Code::kUsage, "tokens");
  inputs_ = good, inputs_.timesteps = {};
  ExpectRefused(Code::kUsage, "0 steps");
  inputs_ = good, inputs_.timesteps[1] = NAN;
  ExpectRefused(Code::kUsage, "timestep is nan");
  inputs_ = good, inputs_.timesteps[0] = 1.5f;
  ExpectRefused(Code::kUsage, "timestep is 1.5");
  inputs_ = good, inputs_.guidance = std::numeric_limits<float>::infinity();
  ExpectRefused(Code::kUsage, "guidance is inf");
  inputs_ = good, inputs_.ids[3][1] = NAN;
  ExpectRefused(Code::kUsage, "position is nan");
  inputs_ = good, inputs_.txt = ViewOf(std::as_const(txt_).data(), {4, 50});
  ExpectRefused(Code::kInternal, "txt is F32 [4,50], expected F32 [4,40]");
  inputs_ = good, inputs_.pooled = {};
  ExpectRefused(Code::kInternal, "pooled");
  inputs_ = good, config_.depth = 3;
  ExpectRefused(Code::kInternal, "IsLoaded");
}

TEST_F(DitRunTest, RefusesTokensThatDoNotFit) {
  const auto run = Create();
  ASSERT_TRUE(run.ok());
  const auto code = [&](int step, Shape tokens, Shape velocity) {
    return (*run)
        ->Forward(step, ViewOf(std::as_const(tokens_).data(), tokens),
                  ViewOf(velocity_.data(), velocity))
        .code();
  };
  EXPECT_EQ(code(0, {10, 16}, {6, 12}), Code::kOk);
  EXPECT_EQ(code(2, {10, 16}, {6, 12}), Code::kInternal);
  EXPECT_EQ(code(-1, {10, 16}, {6, 12}), Code::kInternal);
  EXPECT_EQ(code(0, {9, 16}, {6, 12}), Code::kInternal);
  EXPECT_EQ(code(0, {10, 16}, {5, 12}), Code::kInternal);
}

}  // namespace
}  // namespace kontext
