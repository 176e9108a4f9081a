// kontext.h's BenchStep, BenchDecode and BenchText: a step of full-width FLUX, its autoencoder and
// its large text encoder, with random weights.
#include <algorithm>
#include <chrono>
#include <map>

#include "base/threads.h"
#include "compute/cpu/bare_matmul.h"
#include "compute/cpu/cpu_features.h"
#include "compute/registry.h"
#include "dit/dit.h"
#include "edit/plan.h"
#include "edit/tokens.h"
#include "kontext/kontext.h"
#include "text/t5_encoder.h"
#include "vae/vae.h"
#include "weights/loader.h"
#include "weights/random_source.h"

namespace kontext {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Status CheckOptions(const StepBenchOptions& o) {
  if (o.double_blocks < 0 || o.double_blocks > 19 || o.single_blocks < 0 || o.single_blocks > 38 ||
      o.double_blocks + o.single_blocks == 0) {
    return Usage("blocks {},{}: must be 0..19 double and 0..38 single ones, not both 0",
                 o.double_blocks, o.single_blocks);
  }
  KX_RETURN_IF_ERROR(CheckSize(o.size, EditLimits{}));
  if (o.repeats < 1) return Usage("repeats {}: must be at least 1", o.repeats);
  if (o.text_tokens < 1 || o.text_tokens > 512) {
    return Usage("text tokens {}: must be 1 to 512", o.text_tokens);
  }
  return Status();
}

Result<Tensor> Filled(const std::string& name, const Shape& shape) {
  KX_ASSIGN_OR_RETURN(Tensor t, Tensor::Allocate(DType::kF32, shape));
  const std::vector<float> values = FillUniform(name, shape.NumElements());
  std::copy(values.begin(), values.end(), t.view().As<float>());
  return t;
}

// Of the ops that ran: the saving in the last block (its references' rows are not computed) counts
// as work not done, not as speed.
double OperationsPerStep(const std::vector<OpTime>& trace, int steps) {
  double sum = 0;
  for (const OpTime& t : trace) sum += t.operations;
  return sum / steps;
}

// The bare products that run here, timed in turn with the steps: both meet the same neighbours.
class Yardstick {
 public:
  Yardstick() {
    using Kind = cpu::BareMatMul::Kind;
    for (const Kind kind : {Kind::kF32, Kind::kBF16, Kind::kS8, Kind::kU8S8}) {
      Result<cpu::BareMatMul> product = cpu::BareMatMul::Make(kind);
      if (product.ok()) products_.emplace(kind, *std::move(product));
    }
  }
  Status RunAll() {
    for (auto& [kind, product] : products_) {
      const auto begin = std::chrono::steady_clock::now();
      KX_RETURN_IF_ERROR(product.Run());
      seconds_[kind].push_back(SecondsSince(begin));
    }
    return Status();
  }
  // Operations a second at the median; 0 where oneDNN refuses the dtype.
  double Rate(cpu::BareMatMul::Kind kind) const {
    const auto found = seconds_.find(kind);
    return found == seconds_.end() ? 0 : cpu::BareMatMul::kOperations / Median(found->second);
  }

 private:
  std::map<cpu::BareMatMul::Kind, cpu::BareMatMul> products_;
  std::map<cpu::BareMatMul::Kind, std::vector<double>> seconds_;
};

std::vector<OpTime> ToOpTimes(const std::vector<OpTrace>& trace) {
  std::vector<OpTime> times;
  for (const OpTrace& t : trace)
    times.push_back({t.op, t.result.Str(), t.calls, t.seconds, t.operations, t.bytes});
  return times;
}

// `run` `repeats` times after once to warm up; its activations take `activations` bytes.
template <class Run>
Result<PartBench> BenchPart(Ops& ops, int repeats, int64_t activations, const Run& run) {
  PartBench bench;
  for (int i = 0; i <= repeats; ++i) {
    if (i == 1) ops.StartTrace();
    const auto begin = std::chrono::steady_clock::now();
    KX_RETURN_IF_ERROR(run());
    if (i > 0) bench.all_seconds.push_back(SecondsSince(begin));
  }
  KX_ASSIGN_OR_RETURN(const cpu::CpuFeatures features, cpu::UsableCpuFeatures());
  bench.isa = cpu::NameOf(features);
  bench.trace = ToOpTimes(ops.trace());
  bench.seconds = Median(bench.all_seconds);
  bench.operations = OperationsPerStep(bench.trace, repeats);
  bench.memory = activations + ops.HeldScratchBytes();
  return bench;
}

}  // namespace

Result<StepBench> BenchStep(const StepBenchOptions& o) {
  KX_RETURN_IF_ERROR(CheckOptions(o));
  const ThreadScope threads(o.threads);
  KX_ASSIGN_OR_RETURN(const auto ops, MakeOps({o.backend, o.dtype}));

  ops->SetPrecision(PrecisionOf(o.mode));

  DitConfig config;  // FLUX.1 Kontext's own widths
  config.depth = o.double_blocks;
  config.depth_single = o.single_blocks;
  DitWeights weights;
  RandomSource source(DType::kBF16);
  KX_RETURN_IF_ERROR(
      LoadWeights([&](WeightVisitor& v) { VisitDit(config, weights, v); }, source, *ops));

  const Grid grid{o.size.height / 16, o.size.width / 16};
  const std::vector<Grid> references(o.edit ? 1 : 0, grid);
  const int64_t picture_tokens = grid.count() * (o.edit ? 2 : 1);
  KX_ASSIGN_OR_RETURN(const Tensor txt, Filled("bench.txt", {o.text_tokens, config.context}));
  KX_ASSIGN_OR_RETURN(const Tensor pooled, Filled("bench.pooled", {config.vec}));
  KX_ASSIGN_OR_RETURN(const Tensor tokens,
                      Filled("bench.tokens", {picture_tokens, config.in_channels}));
  KX_ASSIGN_OR_RETURN(Tensor velocity,
                      Tensor::Allocate(DType::kF32, {grid.count(), config.out_channels}));
  const DitInputs inputs{
      txt.view(), pooled.view(), MakeIds(o.text_tokens, grid, references), grid.count(), {1.0f}};
  KX_ASSIGN_OR_RETURN(const auto run, DitRun::Create(config, weights, inputs, *ops, nullptr));

  Yardstick yardstick;
  StepBench bench;
  KX_RETURN_IF_ERROR(run->Forward(0, tokens.view(), velocity.view()));  // warm-up
  ops->StartTrace();
  for (int i = 0; i < o.repeats; ++i) {
    KX_RETURN_IF_ERROR(yardstick.RunAll());
    const auto begin = std::chrono::steady_clock::now();
    KX_RETURN_IF_ERROR(run->Forward(0, tokens.view(), velocity.view()));
    bench.all_seconds.push_back(SecondsSince(begin));
  }
  using Kind = cpu::BareMatMul::Kind;
  bench.bare_f32 = yardstick.Rate(Kind::kF32);
  bench.bare_bf16 = yardstick.Rate(Kind::kBF16);
  bench.bare_s8 = yardstick.Rate(Kind::kS8);
  bench.bare_u8s8 = yardstick.Rate(Kind::kU8S8);
  KX_ASSIGN_OR_RETURN(const cpu::CpuFeatures features, cpu::UsableCpuFeatures());
  bench.isa = cpu::NameOf(features);
  bench.trace = ToOpTimes(ops->trace());
  bench.seconds = Median(bench.all_seconds);
  bench.tokens = o.text_tokens + picture_tokens;
  bench.operations = OperationsPerStep(bench.trace, o.repeats);
  bench.dtype = std::string(Name(ops->activation_dtype()));
  bench.threads = o.threads > 0 ? o.threads : AvailableThreads();
  return bench;
}

Result<PartBench> BenchDecode(const DecodeBenchOptions& o) {
  KX_RETURN_IF_ERROR(CheckSize(o.size, EditLimits{}));
  if (o.repeats < 1) return Usage("repeats {}: must be at least 1", o.repeats);
  const ThreadScope threads(o.threads);
  KX_ASSIGN_OR_RETURN(const auto ops, MakeOps({o.backend, o.dtype}));
  const VaeConfig config;  // FLUX.1's own
  VaeWeights weights;
  RandomSource source(DType::kBF16);
  KX_RETURN_IF_ERROR(
      LoadWeights([&](WeightVisitor& v) { VisitVae(config, weights, v); }, source, *ops));
  const int64_t height = o.size.height, width = o.size.width, factor = config.factor();
  KX_ASSIGN_OR_RETURN(
      const Tensor latents,
      Filled("bench.latents", {height / factor, width / factor, config.latent_channels}));
  KX_ASSIGN_OR_RETURN(Tensor picture, Tensor::Allocate(DType::kF32, {height, width, 3}));

  return BenchPart(
      *ops, o.repeats, DecodeBytes(config, height, width, ops->activation_dtype()), [&] {
        return DecodeLatents(config, weights, latents.view(), *ops, nullptr, picture.view());
      });
}

Result<PartBench> BenchText(const TextBenchOptions& o) {
  if (o.layers < 1 || o.layers > 24) return Usage("layers {}: must be 1 to 24", o.layers);
  if (o.tokens < 1 || o.tokens > 512) return Usage("tokens {}: must be 1 to 512", o.tokens);
  if (o.repeats < 1) return Usage("repeats {}: must be at least 1", o.repeats);
  const ThreadScope threads(o.threads);
  KX_ASSIGN_OR_RETURN(const auto ops, MakeOps({o.backend, o.dtype}));
  T5Config config;  // T5-XXL's own
  config.layers = o.layers;
  T5Weights weights;
  RandomSource source(DType::kBF16);
  KX_RETURN_IF_ERROR(
      LoadWeights([&](WeightVisitor& v) { VisitT5(config, weights, v); }, source, *ops));
  std::vector<int32_t> ids;
  for (int i = 0; i < o.tokens; ++i) ids.push_back(i);
  KX_ASSIGN_OR_RETURN(Tensor states, Tensor::Allocate(DType::kF32, {o.tokens, config.model}));
  KX_ASSIGN_OR_RETURN(const int64_t bytes, T5Bytes(config, o.tokens, ops->activation_dtype()));
  return BenchPart(*ops, o.repeats, bytes,
                   [&] { return EncodeT5(config, weights, ids, *ops, nullptr, states.view()); });
}

}  // namespace kontext
