#include "edit/forecast.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <vector>

#include "compute/cpu/product.h"
#include "edit/tokens.h"
#include "vae/vae.h"
#include "weights/loader.h"
#include "weights/random_source.h"

namespace kontext {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Result<Tensor> Filled(const std::string& name, const Shape& shape) {
  KX_ASSIGN_OR_RETURN(Tensor t, Tensor::Allocate(DType::kF32, shape));
  const std::vector<float> values = FillUniform(name, shape.NumElements());
  std::copy(values.begin(), values.end(), t.view().As<float>());
  return t;
}

// Weights that take no time to make: small numbers of both signs, over and over. How long a product
// takes does not depend on them, as long as none is 0, infinite or denormal.
class PatternSource : public TensorSource {
 public:
  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) override {
    auto& tensor = made_[name];
    if (tensor.bytes() == 0) {
      KX_ASSIGN_OR_RETURN(tensor, Tensor::Allocate(DType::kBF16, shape));
      BF16* values = tensor.view().As<BF16>();
      for (int64_t i = 0; i < shape.NumElements(); ++i) {
        values[i].bits = static_cast<uint16_t>(0x3B00 | (i * 37 & 0xFF) | (i % 2) << 15);  // 0.002
      }
    }
    return std::vector<WeightRows>{tensor.view()};
  }
  std::vector<std::string> Unasked() const override { return {}; }
  std::string description() const override { return "pattern"; }

 private:
  std::map<std::string, Tensor> made_;
};

// Seconds and operations of the traced ops that `which` accepts.
template <class Which>
OpTrace Sum(const Ops& ops, const Which& which) {
  OpTrace sum;
  for (const OpTrace& t : ops.trace()) {
    if (!which(t)) continue;
    sum.seconds += t.seconds;
    sum.operations += t.operations;
  }
  return sum;
}

// One step of a transformer with a single block of the model's widths, traced.
class BlockTrial {
 public:
  explicit BlockTrial(const DitConfig& model) : config_(model) {
    config_.depth = 0;
    config_.depth_single = 1;
  }
  Status Load(Ops& ops) {
    return LoadWeights([this](WeightVisitor& v) { VisitDit(config_, weights_, v); }, source_, ops);
  }
  // Seconds of one step with `side` x `side` target tokens; the trace is of that step alone.
  Result<double> Run(int64_t side, Ops& ops) {
    const Grid grid{side, side};
    KX_ASSIGN_OR_RETURN(const Tensor txt, Filled("fit.txt", {1, config_.context}));
    KX_ASSIGN_OR_RETURN(const Tensor pooled, Filled("fit.pooled", {config_.vec}));
    KX_ASSIGN_OR_RETURN(const Tensor tokens,
                        Filled("fit.tokens", {grid.count(), config_.in_channels}));
    KX_ASSIGN_OR_RETURN(Tensor velocity,
                        Tensor::Allocate(DType::kF32, {grid.count(), config_.out_channels}));
    const DitInputs inputs{txt.view(), pooled.view(), MakeIds(1, grid, {}),     grid.count(),
                           {1.0f},     2.5f,          TimestepPrecision::kExact};
    KX_ASSIGN_OR_RETURN(const auto run, DitRun::Create(config_, weights_, inputs, ops, nullptr));
    ops.StartTrace();
    const auto begin = std::chrono::steady_clock::now();
    KX_RETURN_IF_ERROR(run->Forward(0, tokens.view(), velocity.view()));
    return SecondsSince(begin);
  }

 private:
  DitConfig config_;
  DitWeights weights_;
  PatternSource source_;
};

Result<Rates> RatesOfTrace(const Ops& ops, int64_t rows) {
  const auto is_attention = [](const OpTrace& t) { return t.op == "Attention"; };
  const auto is_linear = [&](const OpTrace& t) { return t.operations > 0 && !is_attention(t); };
  const OpTrace linear = Sum(ops, is_linear), attention = Sum(ops, is_attention);
  const OpTrace rest = Sum(ops, [](const OpTrace& t) { return t.operations == 0; });
  if (linear.seconds <= 0 || attention.seconds <= 0) {
    return Internal("the trial step left no trace");
  }
  Rates rates;
  rates.linear = linear.operations / linear.seconds;
  rates.attention = attention.operations / attention.seconds;
  rates.seconds_per_block_row = rest.seconds / static_cast<double>(rows);
  return rates;
}

Status MeasureBlock(const DitConfig& config, Ops& ops, Rates& rates) {
  BlockTrial trial(config);
  KX_RETURN_IF_ERROR(trial.Load(ops));
  // As many rows as it takes for a weight's way into the cache not to count, and as time allows.
  constexpr int64_t kLeast = 28, kMost = 48;  // 784 and 2304 tokens
  int64_t side = kLeast;
  while (true) {  // the first run also warms up
    KX_ASSIGN_OR_RETURN(const double seconds, trial.Run(side, ops));
    if (seconds > 0.1 || side >= kMost) break;
    side = std::min(side + side / 2, kMost);
  }
  // Of several, each kind of op at its fastest: what else ran meanwhile is not the machine's rate.
  ops.SetPrecision(Precision::kExact);
  for (int i = 0; i < 2; ++i) {
    KX_RETURN_IF_ERROR(trial.Run(side, ops).status());
    KX_ASSIGN_OR_RETURN(const Rates now, RatesOfTrace(ops, side * side + 1));
    rates.linear = std::max(rates.linear, now.linear);
    rates.attention = std::max(rates.attention, now.attention);
    if (i == 0 || now.seconds_per_block_row < rates.seconds_per_block_row) {
      rates.seconds_per_block_row = now.seconds_per_block_row;
    }
  }
  ops.SetPrecision(Precision::kInt8);
  for (int i = 0; i < 3; ++i) {  // the first run encodes the weights
    KX_RETURN_IF_ERROR(trial.Run(side, ops).status());
    KX_ASSIGN_OR_RETURN(const Rates now, RatesOfTrace(ops, side * side + 1));
    if (i > 0) rates.linear_int8 = std::max(rates.linear_int8, now.linear);
    rates.attention_int8 = std::max(rates.attention_int8, now.attention);
  }
  ops.SetPrecision(Precision::kExact);
  return Status();
}

Status MeasureAutoencoder(const VaeConfig& config, Ops& ops, Rates& rates) {
  const int64_t side = 8 * config.factor();  // 64 pixels
  VaeWeights weights;
  PatternSource source;
  KX_RETURN_IF_ERROR(
      LoadWeights([&](WeightVisitor& v) { VisitVae(config, weights, v); }, source, ops));
  KX_ASSIGN_OR_RETURN(Tensor picture, Filled("fit.picture", {side, side, config.in_channels}));
  KX_ASSIGN_OR_RETURN(Tensor latents,
                      Tensor::Allocate(DType::kF32, {8, 8, config.latent_channels}));
  const auto pixels = static_cast<double>(side * side);
  for (int i = 0; i < 3; ++i) {  // the fastest but the first, which warms up
    auto begin = std::chrono::steady_clock::now();
    KX_RETURN_IF_ERROR(
        EncodeLatents(config, weights, picture.view(), ops, nullptr, latents.view()));
    const double encode = SecondsSince(begin) / pixels;
    begin = std::chrono::steady_clock::now();
    KX_RETURN_IF_ERROR(
        DecodeLatents(config, weights, latents.view(), ops, nullptr, picture.view()));
    const double decode = SecondsSince(begin) / pixels;
    if (i < 2 || encode < rates.encode_seconds_per_pixel) rates.encode_seconds_per_pixel = encode;
    if (i < 2 || decode < rates.decode_seconds_per_pixel) rates.decode_seconds_per_pixel = decode;
  }
  return Status();
}

}  // namespace

StepWork WorkOfStep(const DitConfig& c, const DitPlan& plan) {
  const auto T = static_cast<double>(plan.tokens()), target = static_cast<double>(plan.target);
  const auto D = static_cast<double>(c.hidden), F = static_cast<double>(c.mlp);
  const auto depth = static_cast<double>(c.depth), single = static_cast<double>(c.depth_single);
  const double double_row = 2 * (3 * D * D + D * D + 2 * D * F);  // qkv, proj, mlp_0, mlp_2
  const double single_row = 2 * (3 * D * D + D * F + D * (D + F));
  const double ends = 2 * D * static_cast<double>(c.in_channels);  // img_in, and the last layer
  StepWork work;
  work.linear = T * (depth * double_row + single * single_row) + (T + target) * ends;
  work.attention = (depth + single) * 4 * T * T * D;
  work.block_rows = T * (depth + single);
  if (c.depth_single > 0) {  // of the last block only the target rows go beyond q, k and v
    work.linear -= (T - target) * (single_row - 6 * D * D);
    work.attention -= 4 * (T - target) * T * D;
  }
  return work;
}

int64_t ModulationParameters(const DitConfig& c) {
  return (12 * c.depth + 3 * c.depth_single + 2) * c.hidden * c.hidden;
}

double WorkBeforeSteps(const NetworkConfigs& c, const DitPlan& plan) {
  const auto D = static_cast<double>(c.dit.hidden);
  const auto text = static_cast<double>(plan.text);
  const auto model = static_cast<double>(c.t5.model);
  const double t5_row =
      2 * model *
      (4 * static_cast<double>(c.t5.heads * c.t5.kv) + 3 * static_cast<double>(c.t5.ff));
  const auto hidden = static_cast<double>(c.clip.hidden);
  const double clip_row = 2 * hidden * (4 * hidden + 2 * static_cast<double>(c.clip.ff));
  return 2 * static_cast<double>(plan.steps) * static_cast<double>(ModulationParameters(c.dit)) +
         text * (static_cast<double>(c.t5.layers) * t5_row +
                 2 * D * static_cast<double>(c.dit.context)) +
         static_cast<double>(c.clip.positions * c.clip.layers) * clip_row;
}

Result<Rates> MeasureRates(const NetworkConfigs& configs, Ops& ops) {
  Rates rates;
  KX_RETURN_IF_ERROR(MeasureBlock(configs.dit, ops, rates));
  KX_RETURN_IF_ERROR(MeasureAutoencoder(configs.vae, ops, rates));
  return rates;
}

Forecast Predict(const NetworkConfigs& c, const DitPlan& plan, Size size, const Rates& rates,
                 Precision precision, double decode_per_element) {
  const StepWork work = WorkOfStep(c.dit, plan);
  const double decodings =
      std::max(1.0, static_cast<double>(plan.tokens()) / static_cast<double>(cpu::kChunkRows));
  const double elements = work.linear / 2 / static_cast<double>(plan.tokens());
  Forecast f;
  f.step = work.block_rows * rates.seconds_per_block_row +
           (precision == Precision::kInt8
                ? work.linear / rates.linear_int8 + work.attention / rates.attention_int8
                : work.linear / rates.linear + work.attention / rates.attention +
                      elements * decodings * decode_per_element);
  const double pixels = static_cast<double>(size.width) * size.height;
  f.edit = static_cast<double>(plan.steps) * f.step + WorkBeforeSteps(c, plan) / rates.linear +
           pixels * ((plan.reference > 0 ? rates.encode_seconds_per_pixel : 0) +
                     rates.decode_seconds_per_pixel);
  return f;
}

double DecodeSeconds(const WeightRows& rows) {
  constexpr int64_t kElements = 4 << 20;
  const int64_t columns = rows.dim(1), count = std::min(rows.dim(0), kElements / columns + 1);
  std::vector<float> row(static_cast<size_t>(columns));
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < count; ++i) rows.Decode(i, 0, columns, row.data());
  return SecondsSince(begin) / static_cast<double>(count * columns);
}

}  // namespace kontext
