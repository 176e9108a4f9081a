// Adapter files on a miniature transformer: every key family means the same change, and what does
// not fit is said. The tests of spec lora 7, by number.
#include "weights/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "adapter_file.h"
#include "weights/merged_matrix.h"

namespace kontext {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

using namespace adapter_test;  // NOLINT: its few names are this file's, too

using Matrix = std::vector<float>;

// What the adapter adds to a layer [rows, columns] of zeros, at strength 1.
Matrix Change(const Adapter& adapter, const std::string& layer, int64_t rows, int64_t columns) {
  const Matrix zeros(static_cast<size_t>(rows * columns));
  std::vector<MergeTerm> terms;
  for (const AdapterTerm& term : adapter.terms) {
    if (term.target.layer == layer) terms.push_back({&term, 1.0f});
  }
  auto merged = MergedMatrix::Create({WeightRows(ViewOf(zeros.data(), {rows, columns}))}, terms);
  EXPECT_TRUE(merged.ok()) << merged.message();
  Matrix change(zeros);
  for (int64_t r = 0; r < rows && merged.ok(); ++r) {
    (*merged)->Decode(r, 0, columns, change.data() + r * columns);
  }
  return change;
}

// The product up . down in double.
Matrix Product(const Matrix& up, const Matrix& down, int64_t rank, double factor) {
  const int64_t n = static_cast<int64_t>(up.size()) / rank;
  const int64_t k = static_cast<int64_t>(down.size()) / rank;
  Matrix out;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < k; ++j) {
      double sum = 0;
      for (int64_t r = 0; r < rank; ++r) {
        sum += double{up[static_cast<size_t>(i * rank + r)]} *
               double{down[static_cast<size_t>(r * k + j)]};
      }
      out.push_back(static_cast<float>(factor * sum));
    }
  }
  return out;
}

// Sums of up to `terms` products of numbers below 1, each rounded, and the factor's rounding.
void ExpectNear(const Matrix& got, const Matrix& want, int64_t terms) {
  const double bound = static_cast<double>((terms + 3) * (terms + 1)) * 0x1p-24;
  double worst = 0, size = 0;
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(double{got[i]} - double{want[i]}));
    size = std::max(size, std::abs(double{want[i]}));
  }
  std::printf("observed %.3g, bound %.3g, of numbers up to %.3g\n", worst, bound, size);
  EXPECT_LE(worst, bound);
  EXPECT_GT(size, 0.01) << "a change of nothing shows nothing";
}

Matrix Rows(const Matrix& m, int64_t columns, int64_t begin, int64_t end) {
  return {m.begin() + begin * columns, m.begin() + end * columns};
}

// The families by which one change of single_blocks.0.linear2 [D, D+F] can be written.
struct Spelling {
  const char *family, *down, *up;
};
constexpr Spelling kSpellings[] = {
    {"kohya", "lora_unet_single_blocks_0_linear2.lora_down.weight",
     "lora_unet_single_blocks_0_linear2.lora_up.weight"},
    {"kohya", "lora_unet_single_transformer_blocks_0_proj_out.lora_down.weight",
     "lora_unet_single_transformer_blocks_0_proj_out.lora_up.weight"},
    {"ComfyUI", "diffusion_model.single_blocks.0.linear2.lora_A.weight",
     "diffusion_model.single_blocks.0.linear2.lora_B.weight"},
    {"ComfyUI", "diffusion_model.single_blocks.0.linear2.lora_down.weight",
     "diffusion_model.single_blocks.0.linear2.lora_up.weight"},
    {"Diffusers", "transformer.single_transformer_blocks.0.proj_out.lora_A.weight",
     "transformer.single_transformer_blocks.0.proj_out.lora_B.weight"},
    {"Diffusers", "transformer.single_transformer_blocks.0.proj_out.lora.down.weight",
     "transformer.single_transformer_blocks.0.proj_out.lora.up.weight"},
    {"PEFT", "single_transformer_blocks.0.proj_out.lora_A.weight",
     "single_transformer_blocks.0.proj_out.lora_B.weight"},
    {"PEFT", "base_model.model.single_transformer_blocks.0.proj_out.lora_A.default.weight",
     "base_model.model.single_transformer_blocks.0.proj_out.lora_B.default.weight"},
    {"fal Kontext", "base_model.model.single_blocks.0.linear2.lora_A.weight",
     "base_model.model.single_blocks.0.linear2.lora_B.weight"},
    {"OneTrainer", "lora_transformer_single_transformer_blocks_0_proj_out.lora_down.weight",
     "lora_transformer_single_transformer_blocks_0_proj_out.lora_up.weight"},
    {"LyCORIS", "lycoris_single_transformer_blocks_0_proj_out.lora_down.weight",
     "lycoris_single_transformer_blocks_0_proj_out.lora_up.weight"},
    {"XLabs", "single_blocks.0.processor.proj_lora.down.weight",
     "single_blocks.0.processor.proj_lora.up.weight"},
    {"BFL", "single_blocks.0.linear2.lora_A.weight", "single_blocks.0.linear2.lora_B.weight"},
};

TEST(Adapter, EveryFamilyMeansTheSame) {
  const Shape down{kR, kD + kF}, up{kD, kR};
  const Matrix want =
      Product(FillUniform(kUpName, kD * kR), FillUniform(kDownName, kR * (kD + kF)), kR, 1.0);
  for (const Spelling& s : kSpellings) {
    SCOPED_TRACE(s.down);
    File file;
    const Adapter a = file.Fill(s.down, down, kDownName).Fill(s.up, up, kUpName).Parsed();
    EXPECT_EQ(a.family, s.family);
    EXPECT_EQ(a.used, 2);
    EXPECT_THAT(a.unused, IsEmpty());
    ExpectNear(Change(a, "single_blocks.0.linear2", kD, kD + kF), want, kR);
  }
}

TEST(Adapter, FusedQkvEqualsThreeOfItsParts) {  // 1
  File fused, split;
  const Matrix down = FillUniform(kDownName, kR * kD), up = FillUniform(kUpName, 3 * kD * kR);
  const std::string module = "lora_unet_double_blocks_0_img_attn_qkv";
  fused.Add(module + ".lora_down.weight", {kR, kD}, down);
  fused.Add(module + ".lora_up.weight", {3 * kD, kR}, up);
  fused.Alpha(module + ".alpha", 3.0f);  // rank 2: times 1.5
  int64_t row = 0;
  for (const char* part : {"to_q", "to_k", "to_v"}) {
    const std::string name = fmt::format("transformer.transformer_blocks.0.attn.{}", part);
    Matrix scaled = Rows(up, kR, row, row + kD);
    for (float& x : scaled) x *= 1.5f;
    split.Add(name + ".lora_A.weight", {kR, kD}, down);
    split.Add(name + ".lora_B.weight", {kD, kR}, scaled);
    row += kD;
  }
  const Adapter a = fused.Parsed(), b = split.Parsed();
  EXPECT_EQ(a.used, 3);
  EXPECT_EQ(b.used, 6);
  ExpectNear(Change(a, "double_blocks.0.img_attn.qkv", 3 * kD, kD),
             Change(b, "double_blocks.0.img_attn.qkv", 3 * kD, kD), kR);
}

TEST(Adapter, PartsMayBeMissing) {  // 2
  File file;
  AddPair(file, "transformer.transformer_blocks.0.attn.add_q_proj", kD, kD, "q");
  AddPair(file, "transformer.transformer_blocks.0.attn.add_v_proj", kD, kD, "v");
  const Matrix change = Change(file.Parsed(), "double_blocks.0.txt_attn.qkv", 3 * kD, kD);
  const auto of = [](const char* salt) {
    return Product(FillUniform(std::string(kUpName) + salt, kD * kR),
                   FillUniform(std::string(kDownName) + salt, kR * kD), kR, 1.0);
  };
  ExpectNear(Rows(change, kD, 0, kD), of("q"), kR);
  ExpectNear(Rows(change, kD, 2 * kD, 3 * kD), of("v"), kR);
  EXPECT_EQ(Rows(change, kD, kD, 2 * kD), Matrix(kD * kD)) << "k stays";
}

TEST(Adapter, ProjMlpLiesBehindQkv) {  // 3
  File file;
  AddPair(file, "transformer.single_transformer_blocks.0.proj_mlp", kF, kD);
  const Matrix change = Change(file.Parsed(), "single_blocks.0.linear1", 3 * kD + kF, kD);
  EXPECT_EQ(Rows(change, kD, 0, 3 * kD), Matrix(3 * kD * kD));
  ExpectNear(Rows(change, kD, 3 * kD, 3 * kD + kF),
             Product(FillUniform(kUpName, kF * kR), FillUniform(kDownName, kR * kD), kR, 1.0), kR);
}

TEST(Adapter, NormOutHasItsHalvesTheOtherWayRound) {  // 4
  File ours, theirs;
  AddPair(ours, "diffusion_model.final_layer.adaLN_modulation.1", 2 * kD, kD);
  AddPair(theirs, "transformer.norm_out.linear", 2 * kD, kD);
  theirs.Fill("transformer.norm_out.linear.lora_B.bias", {2 * kD}, "bias");
  const char layer[] = "final_layer.adaLN_modulation.1";
  const Adapter swapped = theirs.Parsed();
  const Matrix a = Change(ours.Parsed(), layer, 2 * kD, kD), b = Change(swapped, layer, 2 * kD, kD);
  EXPECT_EQ(Rows(a, kD, 0, kD), Rows(b, kD, kD, 2 * kD));
  EXPECT_EQ(Rows(a, kD, kD, 2 * kD), Rows(b, kD, 0, kD));
  EXPECT_NE(a, b);
  EXPECT_EQ(swapped.used, 3);
  EXPECT_EQ(swapped.terms[0].bias.size(), static_cast<size_t>(2 * kD));
}

TEST(Adapter, LokrOfWholeMatricesIgnoresAlpha) {                              // 5
  const std::string module = "lycoris_single_transformer_blocks_0_proj_out";  // [8, 40]
  File whole, factored;
  const Matrix a = {1, 2, 3, 4}, b = FillUniform("b", 4 * 20);
  whole.Add(module + ".lokr_w1", {2, 2}, a).Add(module + ".lokr_w2", {4, 20}, b);
  whole.Alpha(module + ".alpha", 1e10f);
  Matrix want;
  for (int64_t i = 0; i < kD; ++i) {
    for (int64_t j = 0; j < kD + kF; ++j) {
      want.push_back(a[static_cast<size_t>(i / 4 * 2 + j / 20)] *
                     b[static_cast<size_t>(i % 4 * 20 + j % 20)]);
    }
  }
  const Adapter adapter = whole.Parsed();
  EXPECT_EQ(adapter.family, "LyCORIS");
  EXPECT_EQ(adapter.used, 3);
  EXPECT_EQ(Change(adapter, "single_blocks.0.linear2", kD, kD + kF), want);

  const Matrix up = FillUniform("up", 4 * kR), down = FillUniform("down", kR * 20);
  factored.Add(module + ".lokr_w1", {2, 2}, a);
  factored.Add(module + ".lokr_w2_a", {4, kR}, up).Add(module + ".lokr_w2_b", {kR, 20}, down);
  factored.Alpha(module + ".alpha", 1.0f);
  const Matrix product = Product(up, down, kR, 0.5);  // alpha / dim
  for (size_t i = 0; i < want.size(); ++i) {
    const size_t row = i / (kD + kF), column = i % (kD + kF);
    want[i] = a[row / 4 * 2 + column / 20] * product[row % 4 * 20 + column % 20];
  }
  ExpectNear(Change(factored.Parsed(), "single_blocks.0.linear2", kD, kD + kF), want, 4 * kR);
}

TEST(Adapter, LohaIsAProductOfProducts) {                            // 6
  const std::string module = "lora_unet_double_blocks_0_img_mlp_2";  // [8, 32]
  File file;
  for (const char* which : {"1", "2"}) {
    file.Fill(fmt::format("{}.hada_w{}_a", module, which), {kD, kR}, std::string("a") + which);
    file.Fill(fmt::format("{}.hada_w{}_b", module, which), {kR, kF}, std::string("b") + which);
  }
  file.Alpha(module + ".alpha", 4.0f);
  Matrix want = Product(FillUniform("a1", kD * kR), FillUniform("b1", kR * kF), kR, 2.0);
  const Matrix other = Product(FillUniform("a2", kD * kR), FillUniform("b2", kR * kF), kR, 1.0);
  for (size_t i = 0; i < want.size(); ++i) want[i] *= other[i];
  ExpectNear(Change(file.Parsed(), "double_blocks.0.img_mlp.2", kD, kF), want, 4 * kR);
}

TEST(Adapter, XLabsNames) {  // 7
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"double_blocks.0.processor.qkv_lora1", "double_blocks.0.img_attn.qkv"},
      {"double_blocks.0.processor.qkv_lora2", "double_blocks.0.txt_attn.qkv"},
      {"double_blocks.0.processor.proj_lora1", "double_blocks.0.img_attn.proj"},
      {"double_blocks.0.processor.proj_lora2", "double_blocks.0.txt_attn.proj"},
      {"single_blocks.0.processor.qkv_lora", "single_blocks.0.linear1"}};
  for (const auto& [theirs, layer] : kNames) {
    File file;
    const int64_t out = std::string(theirs).find("qkv") != std::string::npos ? 3 * kD : kD;
    file.Fill(std::string(theirs) + ".down.weight", {kR, kD}, kDownName);
    file.Fill(std::string(theirs) + ".up.weight", {out, kR}, kUpName);
    const Adapter a = file.Parsed();
    ASSERT_EQ(a.terms.size(), 1u) << theirs;
    EXPECT_EQ(a.terms[0].target.layer, layer);
    EXPECT_EQ(a.terms[0].target.rows, out);
    EXPECT_EQ(a.family, "XLabs");
  }
}

TEST(Adapter, AlphaOfAnyShapeAndType) {  // 9
  const std::string module = "lora_unet_double_blocks_0_img_attn_proj";
  const BF16 bf16 = ToBF16(3.0f);
  const double f64 = 3.0;
  const float f32 = 3.0f;
  const int64_t i64 = 3;
  for (const ConstTensorView& alpha :
       {ViewOf(&f32, {}), ViewOf(&f32, {1}), ViewOf(&f32, {1, 1}), ViewOf(&bf16, {}),
        ConstTensorView(reinterpret_cast<const std::byte*>(&f64), DType::kF64, {1}),
        ViewOf(&i64, {})}) {
    File file;
    AddPair(file, module, kD, kD);
    file.file().tensors[module + ".alpha"] = alpha;
    const Adapter a = file.Parsed();
    ASSERT_EQ(a.terms.size(), 1u);
    EXPECT_EQ(a.terms[0].factor, 1.5f);
  }
}

TEST(Adapter, TransposedMatricesAreMisShaped) {  // 10
  File file;
  file.Fill("transformer.transformer_blocks.0.ff.net.0.proj.lora_A.weight", {kF, kR}, kUpName);
  file.Fill("transformer.transformer_blocks.0.ff.net.0.proj.lora_B.weight", {kR, kD}, kDownName);
  EXPECT_THAT(file.Parse().message(),
              testing::AllOf(HasSubstr("none of its 1 products fits"), HasSubstr("no product")));
  File right;
  AddPair(right, "transformer.transformer_blocks.0.ff.net.0.proj", kF, kD);
  EXPECT_EQ(right.Parsed().terms[0].target.layer, "double_blocks.0.img_mlp.0");
}

TEST(Adapter, TextEncoders) {  // 14
  const char clip[] = "text_model.encoder.layers.0.self_attn.q_proj";
  const char t5[] = "encoder.block.0.layer.0.SelfAttention.q";
  constexpr std::pair<const char*, bool> kModules[] = {
      {"lora_te_text_model_encoder_layers_0_self_attn_q_proj", false},
      {"lora_te1_text_model_encoder_layers_0_self_attn_q_proj", false},
      {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj", false},
      {"text_encoder.text_model.encoder.layers.0.self_attn.to_q", false},
      {"text_encoder.encoder.layers.0.self_attn.q_proj", false},
      {"text_encoders.clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj", false},
      {"lora_te3_encoder_block_0_layer_0_SelfAttention_q", true},
      {"lora_te2_encoder_block_0_layer_0_SelfAttention_q", true},
      {"text_encoder_2.encoder.block.0.layer.0.SelfAttention.q", true},
      {"text_encoders.t5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q", true}};
  for (const auto& [module, is_t5] : kModules) {
    File file;
    AddPair(file, module, kD, kD);
    const Adapter a = file.Parsed();
    ASSERT_EQ(a.terms.size(), 1u) << module;
    EXPECT_EQ(a.terms[0].target.layer, is_t5 ? t5 : clip) << module;
  }
  File old;
  old.Fill("text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.down.weight", {kR, kD},
           "d");
  old.Fill("text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.up.weight", {kD, kR}, "u");
  EXPECT_EQ(old.Parsed().terms.size(), 1u);
}

TEST(Adapter, DoraScalesRowsOrColumns) {
  const std::string module = "lora_unet_double_blocks_0_img_attn_proj";
  for (const bool rows : {true, false}) {
    File file;
    AddPair(file, module, kD, kD);
    file.Fill(module + ".dora_scale", rows ? Shape{kD, 1} : Shape{1, kD}, "m");
    const Adapter a = file.Parsed();
    ASSERT_EQ(a.terms.size(), 1u);
    const Matrix base = FillUniform("base", kD * kD), m = FillUniform("m", kD);
    Matrix v = Product(FillUniform(kUpName, kD * kR), FillUniform(kDownName, kR * kD), kR, 1.0);
    for (size_t i = 0; i < v.size(); ++i) v[i] += base[i];
    std::vector<double> norm(kD);
    for (size_t i = 0; i < v.size(); ++i) {
      norm[rows ? i / kD : i % kD] += std::pow(double{v[i]}, 2);
    }
    Matrix want(v), got(v);
    constexpr float kStrength = 0.5f;
    for (size_t i = 0; i < v.size(); ++i) {
      const size_t at = rows ? i / kD : i % kD;
      const double scaled = double{m[at]} / std::sqrt(norm[at]) * double{v[i]};
      want[i] =
          static_cast<float>(double{base[i]} + double{kStrength} * (scaled - double{base[i]}));
    }
    auto merged = MergedMatrix::Create({WeightRows(ViewOf(base.data(), {3, kD})),
                                        WeightRows(ViewOf(base.data() + 3 * kD, {kD - 3, kD}))},
                                       {{&a.terms[0], kStrength}});
    ASSERT_TRUE(merged.ok()) << merged.message();
    for (int64_t r = 0; r < kD; ++r) (*merged)->Decode(r, 0, kD, got.data() + r * kD);
    ExpectNear(got, want, kD);
  }
}

}  // namespace
}  // namespace kontext
