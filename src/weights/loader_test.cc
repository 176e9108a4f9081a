#include "weights/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "compute/registry.h"

namespace kontext {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Tensors by name, each as pieces.
class FakeSource : public TensorSource {
 public:
  void Add(const std::string& name, const Shape& shape, DType dtype = DType::kF32) {
    pieces_[name].emplace_back(ConstTensorView(Memory(), dtype, shape));
  }
  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape&) override {
    asked_[name] = true;
    const auto at = pieces_.find(name);
    if (at == pieces_.end()) return std::vector<WeightRows>{};
    return at->second;
  }
  std::vector<std::string> Unasked() const override {
    std::vector<std::string> names;
    for (const auto& [name, pieces] : pieces_) {
      if (!asked_.contains(name)) names.push_back(name);
    }
    return names;
  }
  std::string description() const override { return "fake.safetensors"; }
  std::string Guess() const override { return "a test"; }

 private:
  // 0, 1, 2, ... for every tensor.
  static const std::byte* Memory() {
    static const auto* values = [] {
      auto* v = new std::vector<float>(4096);
      for (size_t i = 0; i < v->size(); ++i) (*v)[i] = static_cast<float>(i);
      return v;
    }();
    return reinterpret_cast<const std::byte*>(values->data());
  }
  std::map<std::string, std::vector<WeightRows>> pieces_;
  std::map<std::string, bool> asked_;
};

struct Net {
  LinearPtr whole, top, bottom;
  ConvPtr conv;
  VectorWeights norm;
  TableWeights table;
};

void Visit(Net& net, WeightVisitor& v) {
  v.Linear("whole", net.whole, 4, 3, Bias::kYes);
  v.LinearRows("parts", net.top, {0, 4}, 6, 3, Bias::kYes);
  v.LinearRows("parts", net.bottom, {4, 6}, 6, 3, Bias::kYes);
  v.Conv("conv", net.conv, 2, 3, 3);
  v.Vector("norm.weight", net.norm, 5);
  v.Table("table.weight", net.table, 7, 2);
}

FakeSource GoodSource() {
  FakeSource source;
  source.Add("whole.weight", {4, 3, 1, 1});  // a 1x1 convolution is a matrix, too
  source.Add("whole.bias", {4});
  source.Add("parts.weight", {3, 3});  // in two pieces that do not end where the parts do
  source.Add("parts.weight", {3, 3});
  source.Add("parts.bias", {3});
  source.Add("parts.bias", {3});
  source.Add("conv.weight", {2, 3, 3, 3});
  source.Add("conv.bias", {2});
  source.Add("norm.weight", {5});
  source.Add("table.weight", {7, 2});
  return source;
}

class LoaderTest : public testing::Test {
 protected:
  LoaderTest() : ops_(std::move(*MakeOps({"reference", "f32"}))) {}
  Status Load(TensorSource& source) {
    return LoadWeights([&](WeightVisitor& v) { Visit(net_, v); }, source, *ops_);
  }
  std::string Complaint(TensorSource& source) {
    const Status status = Load(source);
    EXPECT_EQ(status.code(), Code::kBadInput);
    EXPECT_EQ(net_.whole, nullptr) << "nothing is prepared when something is wrong";
    return status.message();
  }

  std::unique_ptr<Ops> ops_;
  Net net_;
};

TEST_F(LoaderTest, LoadsWholeTensorsAndRowRanges) {
  FakeSource source = GoodSource();
  const Status status = Load(source);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(net_.whole->out_features, 4);
  EXPECT_EQ(net_.top->out_features, 4);
  EXPECT_EQ(net_.bottom->out_features, 2);
  EXPECT_EQ(net_.norm.view().As<float>()[4], 4.0f);
  EXPECT_EQ(net_.table.table.shape(), (Shape{7, 2}));

  // The pieces hold 0..8 each: row 4 of the stack is row 1 of the second, 3 4 5, and its bias is 1.
  const float x[3] = {1, 10, 100};
  float y[2] = {};
  ops_->Linear(ViewOf(x, {1, 3}), *net_.bottom, Activation::kNone, ViewOf(y, {1, 2}));
  ASSERT_TRUE(ops_->TakeStatus().ok());
  EXPECT_EQ(y[0], 3 + 40 + 500 + 1);
  EXPECT_EQ(y[1], 6 + 70 + 800 + 2);
}

TEST_F(LoaderTest, CountsATensorInPartsOnce) {
  const WeightCount count = CountWeights([&](WeightVisitor& v) { Visit(net_, v); });
  EXPECT_EQ(count.tensors, 8);
  EXPECT_EQ(count.parameters, 16 + 24 + (54 + 2) + 5 + 14);
}

TEST_F(LoaderTest, NamesEverythingThatIsWrongAtOnce) {
  FakeSource source;
  source.Add("whole.weight", {4, 5});
  source.Add("whole.bias", {4}, DType::kF8E4M3);
  source.Add("parts.weight", {5, 3});
  source.Add("parts.bias", {6});
  source.Add("conv.weight", {2, 3, 3, 3});
  source.Add("norm.weight", {5, 1});
  source.Add("table.weight", {7, 2});
  source.Add("surplus.weight", {1});
  EXPECT_EQ(Complaint(source),
            "fake.safetensors: 6 problems with the 8 tensors needed: "
            "\"whole.weight\" is [4,5], expected [4,3]; "
            "\"whole.bias\" is F8_E4M3, expected F32, BF16 or F16; "
            "\"parts.weight\" is [5,3], expected [6,3]; "
            "missing \"conv.bias\" [2]; "
            "\"norm.weight\" is [5,1], expected [5]; "
            "unexpected \"surplus.weight\". It looks like a test");
}

TEST_F(LoaderTest, DoesNotAddUpSizesThatOverflow) {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max() - 2;
  FakeSource source = GoodSource();
  source.Add("parts.weight", {kHuge, 3});  // 3 + 3 + huge + 3 wraps around to 6 and more
  source.Add("parts.weight", {3, 3});
  source.Add("table.weight", {kHuge, 2});
  const std::string message = Complaint(source);
  EXPECT_THAT(message, HasSubstr("\"parts.weight\" is [3,3] + [3,3] + ["));
  EXPECT_THAT(message, HasSubstr("2 problems"));
}

TEST_F(LoaderTest, RefusesATableInPieces) {
  FakeSource source;
  source.Add("table.weight", {3, 2});
  source.Add("table.weight", {4, 2});
  EXPECT_THAT(Complaint(source), HasSubstr("\"table.weight\" is in 2 pieces, expected one"));
}

TEST_F(LoaderTest, CutsLongListsAndHostileNames) {
  FakeSource source = GoodSource();
  for (int i = 0; i < 100; ++i) source.Add(fmt::format("surplus.{:02}", i), {1});
  EXPECT_THAT(Complaint(source), AllOf(HasSubstr("surplus.19"), Not(HasSubstr("surplus.20")),
                                       HasSubstr("; and 80 more. It looks like")));
  FakeSource hostile = GoodSource();
  hostile.Add("\x1b[2J\n" + std::string(10000, 'x'), {1});
  const std::string message = Complaint(hostile);
  EXPECT_THAT(message, AllOf(HasSubstr("unexpected \"?[2J?xxx"), Not(HasSubstr("\n"))));
  EXPECT_LT(message.size(), 500u);
}

}  // namespace
}  // namespace kontext
