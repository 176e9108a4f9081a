#include "pipeline/golden_case.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "compute/registry.h"
#include "io/json.h"
#include "io/picture.h"

namespace kontext::testing {
namespace {

const std::string kFolder = KX_SOURCE_DIR "/tests/golden/";

Pixels ReadInput(const std::string& name) {
  Result<DecodedPicture> picture = ReadPicture(kFolder + "inputs/" + name, false);
  EXPECT_TRUE(picture.ok()) << picture.message();
  return picture.ok() ? picture->pixels : Pixels{};
}

}  // namespace

std::vector<GoldenCase> GoldenCases() {
  std::vector<GoldenCase> cases;
  const Result<Json> json = ReadJsonFile(kFolder + "cases.json");
  EXPECT_TRUE(json.ok()) << json.message();
  if (!json.ok()) return cases;
  for (const Json& c : json->at("cases")) {
    GoldenCase golden;
    golden.name = c.at("name");
    golden.bf16_psnr_db = c.at("bf16_psnr_db");
    EditRequest& r = golden.request;
    r.mode = Mode::kExact;  // as Diffusers computes
    r.prompt = c.at("prompt");
    r.seed = c.at("seed").get<uint64_t>();
    r.steps = c.at("steps").get<int>();
    r.guidance = c.at("guidance").get<float>();
    r.true_cfg = c.at("true_cfg").get<float>();
    if (!c.at("negative").is_null()) r.negative = c.at("negative").get<std::string>();
    r.size = Size{c.at("width").get<int>(), c.at("height").get<int>()};
    r.keep_reference_size = true;  // exported with _auto_resize=False
    for (const Json& image : c.at("images"))
      r.images.push_back(ReadInput(image.get<std::string>()));
    cases.push_back(std::move(golden));
  }
  return cases;
}

Checkpoint GoldenTensors(const std::string& name) {
  Result<Checkpoint> checkpoint = Checkpoint::Open(kFolder + name + ".safetensors");
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.message();
  return checkpoint.ok() ? *std::move(checkpoint) : Checkpoint();
}

void Recorder::OnTensor(std::string_view name, ConstTensorView value) {
  if (value.dtype() != DType::kF32 || !value.IsDense()) return;
  const float* begin = value.As<float>();
  values_[std::string(name)].assign(begin, begin + value.shape().NumElements());
}

MiniSetup OpenMini(const std::string& backend, const std::string& dtype) {
  MiniSetup setup;
  Result<std::unique_ptr<Ops>> ops = MakeOps({backend, dtype});
  EXPECT_TRUE(ops.ok()) << ops.message();
  if (!ops.ok()) return setup;
  setup.ops = *std::move(ops);
  Result<std::unique_ptr<Model>> model =
      OpenModel({.model = KX_SOURCE_DIR "/models/mini"}, *setup.ops);
  EXPECT_TRUE(model.ok()) << model.message();
  if (!model.ok()) return setup;
  setup.model = *std::move(model);
  if (std::getenv("KONTEXT_TEST_NUDGE") != nullptr) {
    TensorView norm = setup.model->dit.single_blocks[0].query_norm.values.view();
    for (int64_t i = 0; i < norm.dim(0); ++i) norm.As<float>()[i] *= 1.01f;
  }
  return setup;
}

GoldenRun RunGolden(const MiniSetup& setup, const GoldenCase& golden) {
  GoldenRun run;
  Result<std::vector<Edited>> edits =
      RunEdit(*setup.model, *setup.ops, golden.request, 0, 2, {nullptr, &run.recorder});
  EXPECT_TRUE(edits.ok()) << golden.name << ": " << edits.message();
  if (edits.ok()) run.edited = std::move(edits->front());
  return run;
}

double Nmse(const std::vector<float>& got, ConstTensorView want) {
  EXPECT_EQ(static_cast<int64_t>(got.size()), want.shape().NumElements());
  const float* w = want.As<float>();
  double error = 0, power = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = static_cast<double>(got[i]) - static_cast<double>(w[i]);
    error += d * d;
    power += static_cast<double>(w[i]) * static_cast<double>(w[i]);
  }
  return error / power;
}

double Psnr(const std::vector<uint8_t>& got, ConstTensorView want) {
  EXPECT_EQ(static_cast<int64_t>(got.size()), want.shape().NumElements());
  double error = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = got[i] - want.As<uint8_t>()[i];
    error += d * d;
  }
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(got.size()) / std::max(error, 1e-9));
}

double WithinOne(const std::vector<uint8_t>& got, ConstTensorView want) {
  size_t near = 0;
  for (size_t i = 0; i < got.size(); ++i) near += std::abs(got[i] - want.As<uint8_t>()[i]) <= 1;
  return static_cast<double>(near) / static_cast<double>(got.size());
}

}  // namespace kontext::testing
