// Files whose encodings do not add up: each is an error that names the tensor, none a wrong weight.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bf16.h"
#include "weights/encodings.h"

namespace kontext {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Tensors made in the test, and what folding says of them.
class Tensors {
 public:
  template <class T>
  Tensors& Add(const std::string& name, DType dtype, const Shape& shape, T fill) {
    const auto n = static_cast<size_t>(shape.NumElements());
    // 4 bytes more: data() of nothing is no address.
    std::vector<std::byte> bytes(n * sizeof(T) + 4);
    for (size_t i = 0; i < n; ++i) std::memcpy(bytes.data() + i * sizeof(T), &fill, sizeof(T));
    return Keep(name, dtype, shape, std::move(bytes));
  }
  Tensors& Codes(const std::string& name, DType dtype, const Shape& shape) {
    if (SizeOf(dtype) == 4) return Add<uint32_t>(name, dtype, shape, 0x21436587u);
    return Add<uint8_t>(name, dtype, shape, 0x31);
  }
  Tensors& Floats(const std::string& name, const Shape& shape, float fill = 0.5f) {
    return Add<float>(name, DType::kF32, shape, fill);
  }
  Tensors& Halfs(const std::string& name, const Shape& shape, float fill = 0.5f) {
    return Add<BF16>(name, DType::kBF16, shape, ToBF16(fill));
  }
  Tensors& Text(const std::string& name, const std::string& text) {
    std::vector<std::byte> bytes(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    return Keep(name, DType::kU8, {static_cast<int64_t>(text.size())}, std::move(bytes));
  }
  Tensors& Without(const std::string& name) {
    raw_.erase(name);
    return *this;
  }
  std::string Refusal(const std::map<std::string, std::string>& metadata = {}) const {
    const auto weights = FoldEncodings(raw_, metadata, "a.safetensors");
    if (weights.ok()) return "accepted";
    EXPECT_EQ(weights.code(), Code::kBadInput);
    return std::string(weights.message());
  }

 private:
  Tensors& Keep(const std::string& name, DType dtype, const Shape& shape,
                std::vector<std::byte> bytes) {
    kept_.push_back(std::make_shared<const std::vector<std::byte>>(std::move(bytes)));
    raw_[name] = ConstTensorView(kept_.back()->data(), dtype, shape);
    return *this;
  }

  std::vector<std::shared_ptr<const std::vector<std::byte>>>
      kept_;  // a copy of Tensors shares them
  std::map<std::string, ConstTensorView> raw_;
};

Tensors Fp8(float scale = 0.5f) {
  Tensors t;
  t.Codes("a.weight", DType::kF8E4M3, {4, 8}).Floats("a.scale_weight", {}, scale);
  return t;
}

TEST(EncodingsRefuse, ScaledFp8) {
  EXPECT_EQ(Fp8().Refusal(), "accepted");
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    EXPECT_THAT(Fp8(bad).Refusal(), AllOf(HasSubstr("a.safetensors: tensor \"a.scale_weight\""),
                                          HasSubstr("not finite; the file is damaged")));
  }
  EXPECT_THAT(Fp8().Floats("a.scale_weight", {3}).Refusal(), HasSubstr("is [3], expected 1 value"));
  EXPECT_THAT(Fp8().Floats("a.scale_weight", {0}).Refusal(), HasSubstr("no empty parts"));
  EXPECT_THAT(Fp8().Codes("a.weight", DType::kF8E4M3, {0, 8}).Refusal(),
              HasSubstr("is [0,8]: an fp8 scaled weight has no empty parts"));
  EXPECT_THAT(Fp8().Without("a.weight").Refusal(), HasSubstr("is the scale of no fp8 weight"));
  EXPECT_THAT(Fp8().Halfs("a.weight", {4, 8}).Refusal(),
              HasSubstr("is the scale of no fp8 weight"));
  EXPECT_THAT(Fp8().Floats("a.weight_scale", {}).Refusal(),
              HasSubstr("is in the file twice, in two encodings"));
}

Tensors Noted(const std::string& note) {
  Tensors t;
  t.Text("a.comfy_quant", note);
  return t;
}

TEST(EncodingsRefuse, ComfyNotes) {
  EXPECT_THAT(Noted(R"({"format": "convrot_w4a4"})").Refusal(),
              AllOf(HasSubstr("the format is \"convrot_w4a4\", which cannot be read"),
                    HasSubstr("nvfp4"), HasSubstr("as GGUF")));
  EXPECT_THAT(Noted("{").Refusal(), HasSubstr("tensor \"a.comfy_quant\""));
  EXPECT_THAT(Noted("[]").Refusal(), HasSubstr("no \"format\""));
  EXPECT_THAT(Noted(R"({"format": 3})").Refusal(), HasSubstr("no \"format\""));
  EXPECT_THAT(Noted(R"({"format": "nvfp4"})").Refusal(),
              HasSubstr("tensor \"a.weight\": is missing"));
  EXPECT_THAT(Tensors().Floats("a.comfy_quant", {4}).Refusal(), HasSubstr("expected JSON text"));
  const auto listed = [](const char* text) {
    return Fp8().Refusal({{"_quantization_metadata", text}});
  };
  EXPECT_THAT(listed("{}"), HasSubstr("no \"layers\""));
  EXPECT_THAT(listed(R"({"layers": {"a": {"format": "q9"}}})"), HasSubstr("\"q9\""));
}

TEST(EncodingsRefuse, BlockScales) {
  const auto nvfp4 = [] {
    Tensors t = Noted(R"({"format": "nvfp4"})");
    return t.Codes("a.weight", DType::kU8, {16, 16})
        .Codes("a.weight_scale", DType::kF8E4M3, {128, 4})
        .Floats("a.weight_scale_2", {});
  };
  EXPECT_EQ(nvfp4().Refusal(), "accepted");
  EXPECT_THAT(nvfp4().Codes("a.weight_scale", DType::kF8E4M3, {16, 2}).Refusal(),
              HasSubstr("is [16,2], expected 512 values"));
  EXPECT_THAT(nvfp4().Add<uint8_t>("a.weight_scale", DType::kU8, {128, 4}, 0x7F).Refusal(),
              HasSubstr("a factor that is not a number"));
  EXPECT_THAT(nvfp4().Floats("a.weight_scale_2", {}, NAN).Refusal(), HasSubstr("not finite"));
  EXPECT_THAT(nvfp4().Codes("a.weight", DType::kU8, {16, 12}).Refusal(),
              HasSubstr("columns a multiple of 16"));
  EXPECT_THAT(nvfp4().Codes("a.weight", DType::kU8, {256}).Refusal(), HasSubstr("is [256]"));
  EXPECT_THAT(nvfp4().Floats("a.pre_quant_scale", {31}).Refusal(), HasSubstr("expected 32 values"));

  const auto mxfp8 = [] {
    Tensors t = Noted(R"({"format": "mxfp8"})");
    return t.Codes("a.weight", DType::kF8E4M3, {32, 64})
        .Codes("a.weight_scale", DType::kF8E8M0, {128, 4});
  };
  EXPECT_EQ(mxfp8().Refusal(), "accepted");
  EXPECT_THAT(mxfp8().Add<uint8_t>("a.weight_scale", DType::kF8E8M0, {128, 4}, 0xFF).Refusal(),
              HasSubstr("not finite"));
  EXPECT_THAT(mxfp8().Add<uint8_t>("a.weight_scale", DType::kU8, {128, 4}, 0xFF).Refusal(),
              HasSubstr("not a number"));
  EXPECT_THAT(mxfp8().Codes("a.weight", DType::kF8E4M3, {32, 48}).Refusal(),
              HasSubstr("a multiple of 32"));
}

TEST(EncodingsRefuse, Int8) {
  const auto int8 = [](const char* note) {
    Tensors t = Noted(note);
    return t.Codes("a.weight", DType::kI8, {4, 512}).Floats("a.weight_scale", {4, 1});
  };
  const char* const kPlain = R"({"format": "int8_tensorwise"})";
  EXPECT_EQ(int8(kPlain).Refusal(), "accepted");
  EXPECT_THAT(int8(kPlain).Floats("a.weight_scale", {3}).Refusal(), HasSubstr("expected 4 values"));
  EXPECT_THAT(int8(kPlain).Codes("a.weight", DType::kI8, {4, 8, 8}).Refusal(),
              HasSubstr("expected a matrix"));
  EXPECT_THAT(
      int8(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 64})").Refusal(),
      HasSubstr("rotated in groups of 64"));
  EXPECT_THAT(int8(R"({"format": "int8_tensorwise", "convrot": 1})").Refusal(),
              HasSubstr("must be true or false"));
  EXPECT_THAT(int8(R"({"format": "int8_tensorwise", "convrot": true})")
                  .Codes("a.weight", DType::kI8, {4, 300})
                  .Refusal(),
              HasSubstr("of its 300 columns"));
  EXPECT_THAT(int8(R"({"format": "int8_blockwise"})").Floats("a.weight_scale", {2, 4}).Refusal(),
              HasSubstr("is [2,4], expected 4 values"));
}

TEST(EncodingsRefuse, Bitsandbytes) {
  const std::string state = "a.weight.quant_state.bitsandbytes__nf4";
  const auto nf4 = [&](const char* text) {
    Tensors t;
    return t.Codes("a.weight", DType::kU8, {64, 1})
        .Floats("a.weight.absmax", {2})
        .Floats("a.weight.quant_map", {16})
        .Text(state, text);
  };
  const char* const kGood = R"({"blocksize": 64, "shape": [4, 32]})";
  EXPECT_EQ(nf4(kGood).Refusal(), "accepted");
  EXPECT_THAT(nf4(R"({"blocksize": 64, "shape": [4, 33]})").Refusal(),
              HasSubstr("has 64 bytes, expected 66 for [4,33] in NF4"));
  EXPECT_THAT(nf4(R"({"blocksize": 0, "shape": [4, 32]})").Refusal(), HasSubstr("blocksize"));
  EXPECT_THAT(nf4(R"({"blocksize": 64, "shape": [2147483648, 2147483648]})").Refusal(),
              HasSubstr("has 64 bytes"));
  EXPECT_THAT(nf4(R"({"blocksize": 64, "shape": [-4, 32]})").Refusal(), HasSubstr("is none of"));
  EXPECT_THAT(nf4(R"({"blocksize": 64})").Refusal(), HasSubstr("no \"shape\""));
  EXPECT_THAT(nf4("nonsense").Refusal(), HasSubstr(state));
  EXPECT_THAT(nf4(kGood).Floats("a.weight.absmax", {2}, NAN).Refusal(), HasSubstr("not finite"));
  EXPECT_THAT(nf4(kGood).Floats("a.weight.absmax", {3}).Refusal(), HasSubstr("expected 2 values"));
  EXPECT_THAT(nf4(kGood).Without("a.weight.quant_map").Refusal(), HasSubstr("is missing"));
  EXPECT_THAT(
      nf4(R"({"blocksize": 64, "shape": [4, 32], "nested_blocksize": 256, "nested_offset": 0.5})")
          .Codes("a.weight.absmax", DType::kU8, {2})
          .Refusal(),
      HasSubstr("nested_quant_map"));
  EXPECT_THAT(nf4(kGood).Text("b.weight.quant_state.bitsandbytes__int3", "{}").Refusal(),
              HasSubstr("known are nf4 and fp4"));
}

TEST(EncodingsRefuse, Svdquant) {
  const std::string layer = "transformer_blocks.0.mlp_fc1";
  const auto int4 = [&] {
    Tensors t;
    return t.Codes(layer + ".qweight", DType::kI8, {128, 64})
        .Halfs(layer + ".wscales", {2, 128})
        .Halfs(layer + ".smooth", {128})
        .Halfs(layer + ".bias", {128})
        .Halfs(layer + ".lora_up", {128, 16})
        .Halfs(layer + ".lora_down", {128, 16});
  };
  EXPECT_EQ(int4().Refusal(), "accepted");
  EXPECT_THAT(int4().Codes(layer + ".qweight", DType::kI8, {128, 63}).Refusal(),
              HasSubstr("multiples of 128"));
  EXPECT_THAT(int4().Halfs(layer + ".wscales", {2, 128}, NAN).Refusal(), HasSubstr("not finite"));
  EXPECT_THAT(int4().Halfs(layer + ".smooth", {128}, 0).Refusal(), HasSubstr("holds a zero"));
  EXPECT_THAT(int4().Halfs(layer + ".lora_up", {128, 12}).Refusal(),
              HasSubstr("multiple of 16 columns"));
  EXPECT_THAT(int4().Halfs(layer + ".lora_down", {128, 32}).Refusal(),
              HasSubstr("expected 2048 values"));
  EXPECT_THAT(int4().Without(layer + ".bias").Refusal(), HasSubstr("is missing"));
  EXPECT_THAT(Tensors().Codes("model.layers.0.q_proj.qweight", DType::kI32, {8, 8}).Refusal(),
              HasSubstr("of no layer that nunchaku files of FLUX.1 have"));

  const std::string norm = "single_transformer_blocks.0.norm.linear";
  const auto awq = [&] {
    Tensors t;
    return t.Codes(norm + ".qweight", DType::kI32, {3, 32})
        .Halfs(norm + ".wscales", {1, 12})
        .Halfs(norm + ".wzeros", {1, 12})
        .Halfs(norm + ".bias", {12});
  };
  EXPECT_EQ(awq().Refusal(), "accepted");
  EXPECT_THAT(awq().Codes(norm + ".qweight", DType::kI32, {4, 32}).Refusal(),
              HasSubstr("N a multiple of 3"));
  EXPECT_THAT(awq().Halfs(norm + ".wzeros", {1, 13}).Refusal(), HasSubstr("expected 12 values"));
  EXPECT_THAT(awq().Halfs(norm + ".bias", {11}).Refusal(), HasSubstr("expected 12 values"));
}

}  // namespace
}  // namespace kontext
