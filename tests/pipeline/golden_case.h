// The goldens that tools/golden/export.py made with Diffusers (tests/golden/README.md), and running
// one of them through the engine with every stage recorded.
#ifndef KONTEXT_TESTS_PIPELINE_GOLDEN_CASE_H_
#define KONTEXT_TESTS_PIPELINE_GOLDEN_CASE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compute/ops.h"
#include "edit/edit.h"
#include "io/checkpoint.h"
#include "model/model.h"

namespace kontext::testing {

struct GoldenCase {
  std::string name;
  EditRequest request;
  double bf16_psnr_db = 0;  // Diffusers' own bf16 run against its f32 run
};

std::vector<GoldenCase> GoldenCases();
Checkpoint GoldenTensors(const std::string& name);

// Keeps a copy of every F32 tensor a run names.
class Recorder : public Observer {
 public:
  void OnTensor(std::string_view name, ConstTensorView value) override;
  bool Has(const std::string& name) const { return values_.count(name) > 0; }
  const std::vector<float>& At(const std::string& name) const { return values_.at(name); }

 private:
  std::map<std::string, std::vector<float>> values_;
};

// A backend with the mini model on it. With KONTEXT_TEST_NUDGE in the environment one norm weight
// of the transformer is 1 % off: then every parity test must fail.
struct MiniSetup {
  std::unique_ptr<Ops> ops;
  std::unique_ptr<Model> model;
};
MiniSetup OpenMini(const std::string& backend, const std::string& dtype);

// The mini model in f32 on the fast backend, and the first golden's request, cut to two steps.
class MiniTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setup_ = OpenMini("cpu", "f32");
    ASSERT_TRUE(setup_.model != nullptr);
    request_ = GoldenCases().front().request;
    request_.steps = 2;
  }
  MiniSetup setup_;
  EditRequest request_;
};

struct GoldenRun {
  Edited edited;
  Recorder recorder;
};
GoldenRun RunGolden(const MiniSetup& setup, const GoldenCase& golden);

// sum (got - want)^2 / sum want^2
double Nmse(const std::vector<float>& got, ConstTensorView want);
// Of u8 pictures, in dB.
double Psnr(const std::vector<uint8_t>& got, ConstTensorView want);
// The share of bytes that differ by at most one.
double WithinOne(const std::vector<uint8_t>& got, ConstTensorView want);

}  // namespace kontext::testing

#endif  // KONTEXT_TESTS_PIPELINE_GOLDEN_CASE_H_
