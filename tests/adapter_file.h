// An adapter file in memory, for a miniature of FLUX's products with values by the fill rule.
#ifndef KONTEXT_TESTS_ADAPTER_FILE_H_
#define KONTEXT_TESTS_ADAPTER_FILE_H_

#include <gtest/gtest.h>

#include <list>
#include <string>
#include <utility>
#include <vector>

#include "weights/adapter.h"
#include "weights/random_source.h"

namespace kontext::adapter_test {

inline constexpr int64_t kD = 8, kF = 32;  // hidden, mlp

// The products of one double and one single block, and the ends (dit/dit_weights.cc).
inline void VisitTransformer(WeightVisitor& v) {
  static LinearPtr w;
  v.Linear("img_in", w, kD, 4, Bias::kYes);
  v.Linear("double_blocks.0.img_mod.lin", w, 6 * kD, kD, Bias::kYes);
  for (const char* s : {"img", "txt"}) {
    const std::string block = fmt::format("double_blocks.0.{}", s);
    v.Linear(block + "_attn.qkv", w, 3 * kD, kD, Bias::kYes);
    v.Linear(block + "_attn.proj", w, kD, kD, Bias::kYes);
    v.Linear(block + "_mlp.0", w, kF, kD, Bias::kYes);
    v.Linear(block + "_mlp.2", w, kD, kF, Bias::kYes);
  }
  v.LinearRows("single_blocks.0.linear1", w, {0, 3 * kD}, 3 * kD + kF, kD, Bias::kYes);
  v.LinearRows("single_blocks.0.linear1", w, {3 * kD, 3 * kD + kF}, 3 * kD + kF, kD, Bias::kYes);
  v.Linear("single_blocks.0.linear2", w, kD, kD + kF, Bias::kYes);
  v.Linear("final_layer.adaLN_modulation.1", w, 2 * kD, kD, Bias::kYes);
  v.Linear("final_layer.linear", w, 4, kD, Bias::kYes);
}
inline void VisitClip(WeightVisitor& v) {
  static LinearPtr w;
  v.Linear("text_model.encoder.layers.0.self_attn.q_proj", w, kD, kD, Bias::kYes);
  v.Linear("text_model.encoder.layers.0.mlp.fc1", w, kF, kD, Bias::kYes);
}
inline void VisitT5(WeightVisitor& v) {
  static LinearPtr w;
  v.Linear("encoder.block.0.layer.0.SelfAttention.q", w, kD, kD, Bias::kNo);
}

inline const AdapterNames& Names() {
  static const auto* names = [] {
    auto* n = new AdapterNames;
    n->Add(AdaptedNetwork::kTransformer, VisitTransformer, TransformerDialects({1, 1, kD, kF}));
    n->Add(AdaptedNetwork::kClip, VisitClip, ClipDialects(1));
    n->Add(AdaptedNetwork::kT5, VisitT5, T5Dialects());
    return n;
  }();
  return *names;
}

// An adapter file in memory.
class File {
 public:
  File& Add(const std::string& key, const Shape& shape, std::vector<float> values) {
    kept_.push_back(std::move(values));
    file_.tensors[key] = ViewOf(std::as_const(kept_.back()).data(), shape);
    return *this;
  }
  // Values by the fill rule, from the name `like`.
  File& Fill(const std::string& key, const Shape& shape, const std::string& like) {
    return Add(key, shape, FillUniform(like, shape.NumElements()));
  }
  File& Alpha(const std::string& key, float value) { return Add(key, {}, {value}); }
  AdapterFile& file() { return file_; }
  Result<Adapter> Parse() {
    file_.name = "a.safetensors";
    return ParseAdapter(file_, Names());
  }
  Adapter Parsed() {
    auto adapter = Parse();
    EXPECT_TRUE(adapter.ok()) << adapter.message();
    return adapter.ok() ? std::move(*adapter) : Adapter{};
  }

 private:
  std::list<std::vector<float>> kept_;
  AdapterFile file_;
};

inline constexpr int64_t kR = 2;
inline constexpr char kUpName[] = "test.up", kDownName[] = "test.down";

// Two matrices under `module`, filled by the rule; `salt` makes several of them differ.
inline void AddPair(File& file, const std::string& module, int64_t out, int64_t in,
                    const std::string& salt = "") {
  file.Fill(module + ".lora_A.weight", {kR, in}, kDownName + salt);
  file.Fill(module + ".lora_B.weight", {out, kR}, kUpName + salt);
}

}  // namespace kontext::adapter_test

#endif  // KONTEXT_TESTS_ADAPTER_FILE_H_
