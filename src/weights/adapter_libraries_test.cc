// Adapters made by peft and lycoris-lora (tests/data/adapters) change the weights as the libraries'
// own merging (peft) or forward pass (lycoris: its merge_to() scales twice) does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "adapter_file.h"
#include "io/checkpoint.h"
#include "io/mapped_file.h"
#include "weights/merged_matrix.h"

namespace kontext {
namespace {

using namespace adapter_test;  // NOLINT: its few names are this file's, too

const std::string kFolder = KX_SOURCE_DIR "/tests/data/adapters/";

class AdapterLibraries : public testing::TestWithParam<const char*> {};

TEST_P(AdapterLibraries, ChangeTheWeightsAsTheLibraryDoes) {
  const std::string name = GetParam();
  auto file = Checkpoint::Open(kFolder + name + ".safetensors");
  auto change = Checkpoint::Open(kFolder + name + ".change.safetensors");
  ASSERT_TRUE(file.ok()) << file.message();
  ASSERT_TRUE(change.ok()) << change.message();
  auto base = Checkpoint::Open(kFolder + "base.safetensors");
  ASSERT_TRUE(base.ok()) << base.message();
  AdapterFile in{.tensors = file->tensors(), .metadata = file->metadata(), .name = name};
  if (name.starts_with("peft")) in.config = *ReadTextFile(kFolder + name + ".json", 1 << 20);
  const auto adapter = ParseAdapter(in, Names());
  ASSERT_TRUE(adapter.ok()) << adapter.message();
  EXPECT_EQ(adapter->used, adapter->keys);
  EXPECT_EQ(adapter->terms.size(), change->tensors().size());
  const char* nudge = std::getenv("KX_NUDGE");  // the twin that must fail: tests/must_fail
  const float strength = nudge != nullptr && std::string(nudge) == "adapter" ? 1.01f : 1.0f;
  double worst = 0, largest = 0;
  for (const auto& [key, want] : change->tensors()) {
    const std::string product = key.substr(0, key.size() - std::string(".weight").size());
    const AdapterTarget* target = Names().Find(product).target;
    ASSERT_NE(target, nullptr) << product;
    // The product's weights in their rows of ours, zeros around them; at most 7 D rows of 5 D.
    std::vector<float> weights(static_cast<size_t>(7 * kD * 5 * kD)), row(5 * kD);
    const int64_t columns = target->columns, rows = 7 * kD, first = target->pieces[0].row;
    const float* before = base->tensors().at(key).As<float>();
    std::copy_n(before, target->rows * columns, weights.data() + first * columns);
    std::vector<MergeTerm> terms;
    for (const AdapterTerm& term : adapter->terms) {
      if (term.target.layer == target->layer) terms.push_back({&term, strength});
    }
    const auto merged =
        MergedMatrix::Create({WeightRows(ViewOf(weights.data(), {rows, columns}))}, terms);
    ASSERT_TRUE(merged.ok()) << merged.message();
    for (int64_t i = 0; i < target->rows; ++i) {
      (*merged)->Decode(first + i, 0, columns, row.data());
      for (int64_t k = 0; k < columns; ++k) {
        const double expected = want.As<float>()[i * columns + k];
        const double got = double{row[static_cast<size_t>(k)]} - double{before[i * columns + k]};
        worst = std::max(worst, std::abs(got - expected));
        largest = std::max(largest, std::abs(expected));
      }
    }
  }
  // On both sides a weight of size 2 at most: the sum of four products, their factor, the sum with
  // the base, the difference (DoRA: norm and quotient as well), each rounded once.
  const double bound = 2 * 12 * 2 * 0x1p-24;
  std::printf("%s: observed %.3g, bound %.3g, of changes up to %.3g\n", name.c_str(), worst, bound,
              largest);
  EXPECT_LE(worst, bound);
}

INSTANTIATE_TEST_SUITE_P(Files, AdapterLibraries,
                         testing::Values("peft_lora", "peft_rslora_pattern", "peft_dora",
                                         "lycoris_loha", "lycoris_lokr", "lycoris_lokr_whole"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace kontext
