// The name tables at FLUX.1's real size, against the index files of FLUX.1 [dev].
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "dit/dit_weights.h"
#include "golden/flux_layouts.h"
#include "text/t5_encoder.h"
#include "weights/dialect.h"
#include "weights/loader.h"

namespace kontext {
namespace {

using testing::IsEmpty;

std::set<std::string> IndexNames(const std::string& file) {
  std::ifstream in(KX_SOURCE_DIR "/tests/data/flux1/" + file);
  std::set<std::string> names;
  const auto index = nlohmann::json::parse(in);
  for (const auto& [name, shard] : index.at("weight_map").items()) names.insert(name);
  return names;
}

std::set<std::string> Names(const WeightMap& tensors) {
  std::set<std::string> names;
  for (const auto& [name, tensor] : tensors) names.insert(name);
  return names;
}

// Asks a source for every tensor and checks what it gets.
class AskVisitor : public WeightVisitor {
 public:
  explicit AskVisitor(TensorSource& source) : source_(source) {}
  void LinearRows(const std::string& name, LinearPtr&, RowRange, int64_t out, int64_t in,
                  Bias bias) override {
    Ask(name + ".weight", {out, in});
    if (bias == Bias::kYes) Ask(name + ".bias", {out});
  }
  void Conv(const std::string& name, ConvPtr&, int64_t, int64_t, int64_t) override {
    ADD_FAILURE() << name;
  }
  void Vector(const std::string& name, VectorWeights&, int64_t n) override { Ask(name, {n}); }
  void Table(const std::string& name, TableWeights&, int64_t rows, int64_t cols) override {
    Ask(name, {rows, cols});
  }

 private:
  void Ask(const std::string& name, const Shape& shape) {
    const auto pieces = source_.Find(name, shape);
    ASSERT_TRUE(pieces.ok()) << pieces.message();
    int64_t rows = 0;
    for (const WeightRows& piece : *pieces) {
      rows += piece.dim(0);
      EXPECT_EQ(piece.rank(), shape.rank()) << name;
      EXPECT_EQ(piece.shape().back(), shape.rank() == 2 ? shape[1] : piece.dim(0)) << name;
    }
    EXPECT_EQ(rows, shape[0]) << name;
  }
  TensorSource& source_;
};

TEST(FluxNames, CountsOfTheRealModel) {  // spec architecture 1.1
  DitWeights weights;
  const WeightCount count = CountWeights([&](WeightVisitor& v) { VisitDit({}, weights, v); });
  EXPECT_EQ(count.tensors, 780);
  EXPECT_EQ(count.parameters, 11'901'408'320);
}

class FluxLayout : public testing::TestWithParam<std::pair<Layout, size_t>> {};

TEST_P(FluxLayout, IsReadWithoutRemainder) {
  const auto [layout, tensors] = GetParam();
  const DitConfig c;
  DitWeights weights;
  ShapeSource shapes;
  LayoutWriter writer(layout, c.hidden, shapes);
  VisitDit(c, weights, writer);
  EXPECT_EQ(writer.tensors().size(), tensors);
  if (layout == Layout::kDiffusers) {
    EXPECT_EQ(Names(writer.tensors()),
              IndexNames("transformer/diffusion_pytorch_model.safetensors.index.json"));
  }
  const auto source = CheckpointSource::Create(
      writer.tensors(), "flux", TransformerDialects({c.depth, c.depth_single, c.hidden, c.mlp}));
  ASSERT_TRUE(source.ok()) << source.message();
  AskVisitor ask(**source);
  VisitDit(c, weights, ask);
  EXPECT_THAT((*source)->Unasked(), IsEmpty());
}

// Fused: two names fewer for each weight and bias of 2 * 19 + 38 blocks.
INSTANTIATE_TEST_SUITE_P(Layouts, FluxLayout,
                         testing::Values(std::pair{Layout::kBfl, 780},
                                         std::pair{Layout::kDiffusers, 1160},
                                         std::pair{Layout::kDiffusersFused, 1160 - 2 * 2 * 76}));

TEST(T5Names, AreThoseOfTheIndex) {
  std::set<std::string> asked;
  class Collect : public WeightVisitor {
   public:
    explicit Collect(std::set<std::string>& names) : names_(names) {}
    void LinearRows(const std::string& name, LinearPtr&, RowRange, int64_t, int64_t,
                    Bias bias) override {
      EXPECT_EQ(bias, Bias::kNo) << name;
      names_.insert(name + ".weight");
    }
    void Conv(const std::string& name, ConvPtr&, int64_t, int64_t, int64_t) override {
      ADD_FAILURE() << name;
    }
    void Vector(const std::string& name, VectorWeights&, int64_t) override { names_.insert(name); }
    void Table(const std::string& name, TableWeights&, int64_t, int64_t) override {
      names_.insert(name);
    }

   private:
    std::set<std::string>& names_;
  };
  T5Weights weights;
  Collect collect(asked);
  VisitT5({}, weights, collect);
  EXPECT_EQ(asked.size(), 219u);
  EXPECT_EQ(asked, IndexNames("text_encoder_2/model.safetensors.index.json"));
  const WeightCount count = CountWeights([&](WeightVisitor& v) { VisitT5({}, weights, v); });
  EXPECT_EQ(count.parameters, 4'762'310'656);
}

}  // namespace
}  // namespace kontext
