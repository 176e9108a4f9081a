// kontext.h's FitMachine: the plan of memory and the forecast of time, for every size and encoding.
#include "kontext/fit.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>

#include "base/guard.h"
#include "base/process_memory.h"
#include "base/threads.h"
#include "compute/cpu/cpu_features.h"
#include "compute/registry.h"
#include "edit/forecast.h"
#include "edit/likes.h"
#include "edit/memory.h"
#include "edit/plan.h"
#include "edit/sizes.h"
#include "edit/step_plan.h"
#include "io/json.h"
#include "model/flux_kontext.h"
#include "model/parts.h"
#include "tensor/packed_int8.h"
#include "tokenize/t5_unigram.h"
#include "weights/loader.h"

namespace kontext {
namespace {

constexpr int kStepsOfAnEdit = 28;
// Of a step's predicted time, observed with a margin (docs/memory.md): at FLUX's widths, and at
// those of small models, whose products are too short to reach the measured rate.
constexpr double kStatedError = 0.25, kStatedErrorSmall = 0.4;
constexpr int64_t kSmallWidth = 1024;

// Product rates of one core in Gop/s: f32's, or bf16's where that is native, and 8 bits' (u8 x s8).
// docs/memory.md has the table's sources, and what of it was never measured.
struct KnownIsa {
  const char* name;  // as KONTEXT_ISA has it
  double gops_per_core, int8_gops_per_core;
  // Attention's rate in mode default beside the products': 221 of 290 and 595 of 807 Gop/s, on AMX,
  // where it is in bf16, 2094 of 3695 (SPEED.md). Not this machine's ratio: what is computed must
  // not depend on how busy it is.
  double int8_attention;
};
constexpr std::array<KnownIsa, 5> kKnown = {{{"avx2", 78, 140, 0.74},
                                             {"avx512", 111, 222, 0.74},
                                             {"avx512_vnni", 111, 438, 0.74},
                                             {"avx512_bf16", 218, 438, 0.74},
                                             {"amx", 850, 1740, 0.57}}};
constexpr double kReached = 0.8;     // of that rate, by whole products
constexpr double kAttention = 0.72;  // attention's rate beside the products' (620 to 860 Gop/s)

const char* OwnIsa(const cpu::CpuFeatures& f) {
  return f.amx                ? "amx"
         : cpu::NativeBf16(f) ? "avx512_bf16"
         : f.vnni             ? "avx512_vnni"
         : f.avx512           ? "avx512"
                              : "avx2";
}

Status CheckOptions(const FitOptions& o) {
  if (o.memory < 0) return Usage("memory {}: must not be negative", o.memory);
  if (o.cores < 0 || o.cores > 4096) return Usage("cores {}: must be 1..4096", o.cores);
  const bool known =
      std::any_of(kKnown.begin(), kKnown.end(), [&](const KnownIsa& k) { return o.isa == k.name; });
  if (!o.isa.empty() && !known) {
    return Usage("isa \"{}\" is unknown; expected avx2, avx512, avx512_vnni, avx512_bf16 or amx",
                 o.isa);
  }
  return o.size ? CheckSize(*o.size, EditLimits{}) : Status();
}

// What loading copies of a network's weights: vectors, biases, convolutions.
class CopiedBytes : public WeightVisitor {
 public:
  void LinearRows(const std::string&, LinearPtr&, RowRange rows, int64_t, int64_t,
                  Bias bias) override {
    if (bias == Bias::kYes) bytes += (rows.end - rows.begin) * SizeOf(DType::kF32);
  }
  void Conv(const std::string&, ConvPtr&, int64_t out, int64_t in, int64_t kernel) override {
    bytes += out * in * kernel * kernel * SizeOf(DType::kBF16) + out * SizeOf(DType::kF32);
  }
  void Vector(const std::string&, VectorWeights&, int64_t n) override {
    bytes += n * SizeOf(DType::kF32);
  }
  void Table(const std::string&, TableWeights&, int64_t, int64_t) override {}
  int64_t bytes = 0;
};

// The parameters of each network, and what of them is copied at load.
struct WeightSizes {
  int64_t clip = 0, t5 = 0, vae = 0, dit = 0, dit_repeated = 0, copied = 0;
};

WeightSizes SizesOf(const PartConfigs& c) {
  ClipWeights clip;
  T5Weights t5;
  VaeWeights vae;
  DitWeights dit;
  CopiedBytes copied;
  const auto count = [&](const auto& visit) {
    visit(copied);
    return CountWeights(visit).parameters;
  };
  WeightSizes sizes;
  sizes.clip = count([&](WeightVisitor& v) { VisitClip(c.clip, clip, v); });
  sizes.t5 = count([&](WeightVisitor& v) { VisitT5(c.t5, t5, v); });
  sizes.vae = count([&](WeightVisitor& v) { VisitVae(c.vae, vae, v); });
  sizes.dit = count([&](WeightVisitor& v) { VisitDit(c.dit, dit, v); });
  // The modulations' are used once, then dropped.
  sizes.dit_repeated = sizes.dit - ModulationParameters(c.dit);
  sizes.copied = copied.bytes;
  return sizes;
}

int64_t DiskBytes(const Parts& parts) {
  int64_t sum = 0;
  for (const auto& file : parts.files) {
    for (const std::string& path : file->files()) {
      std::error_code ec;
      const auto bytes = std::filesystem::file_size(path, ec);
      if (!ec) sum += static_cast<int64_t>(bytes);
    }
  }
  return sum;
}

// An encoding of the model: bytes of a parameter of the blocks, what decoding one costs beyond
// bf16, and whether products in 8 bits use it as it is.
struct Encoding {
  std::string name;
  double bytes_per_weight = 2;
  double decode_seconds = 0;
  bool is_int8 = false;
};

// The largest matrix of the transformer's file: how it is kept. The blocks' matrices are kept like
// it, encoded or not; embedders and modulations may be kept otherwise and do not count.
Encoding OwnEncoding(const Parts& parts) {
  const auto& tensors = parts.of(Part::kTransformer).file->tensors();
  const WeightRows* largest = nullptr;
  for (const auto& [name, rows] : tensors) {
    if (rows.rank() != 2) continue;
    if (largest == nullptr || rows.shape().NumElements() > largest->shape().NumElements()) {
      largest = &rows;
    }
  }
  if (largest == nullptr) return {"as it is"};
  int64_t bytes = 0, elements = 0;
  for (const auto& [name, rows] : tensors) {
    if (rows.rank() != 2 || rows.is_encoded() != largest->is_encoded()) continue;
    std::vector<ByteSpan> spans;
    rows.Touches(spans);
    for (const ByteSpan& span : spans) bytes += static_cast<int64_t>(span.size());
    elements += rows.shape().NumElements();
  }
  Encoding own{fmt::format("as it is ({})", largest->encoding())};
  own.bytes_per_weight = static_cast<double>(bytes) / static_cast<double>(elements);
  own.is_int8 = dynamic_cast<const PackedInt8*>(largest->encoded()) != nullptr;
  if (largest->is_encoded()) own.decode_seconds = DecodeSeconds(*largest);
  return own;
}

std::vector<Size> SizesToShow(const FitOptions& o, const ModelDefaults& model) {
  std::vector<Size> sizes = {{512, 512}, {768, 768}, {1024, 1024}};
  const Size own = SquareOf(model.preferred_sizes);
  for (const Size& s : {own, o.size.value_or(own)}) {
    if (std::find(sizes.begin(), sizes.end(), s) == sizes.end()) sizes.push_back(s);
  }
  std::sort(sizes.begin(), sizes.end(), [](const Size& a, const Size& b) {
    return int64_t{a.width} * a.height < int64_t{b.width} * b.height;
  });
  return sizes;
}

// The rates of the machine meant: measured here, or computed from a table.
Rates RatesFor(const FitOptions& o, const Rates& here, const char* own_isa, Fit& fit) {
  fit.computed = o.cores > 0 || !o.isa.empty();
  const int cores = o.cores > 0 ? o.cores : fit.computed ? AvailableThreads() : 0;
  if (!fit.computed) return here;
  const std::string isa = o.isa.empty() ? own_isa : o.isa;
  fit.machine = fmt::format("{} cores, {}", cores, isa);
  fit.source =
      "computed, not measured: product rates per core of three machines (docs/memory.md), growing "
      "with the cores, which is a guess";
  const auto known =
      std::find_if(kKnown.begin(), kKnown.end(), [&](const KnownIsa& k) { return isa == k.name; });
  Rates there = here;
  there.linear = kReached * known->gops_per_core * 1e9 * cores;
  there.linear_int8 = kReached * known->int8_gops_per_core * 1e9 * cores;
  there.attention = kAttention * there.linear;
  there.attention_int8 = known->int8_attention * there.linear_int8;
  const double slower = here.linear / there.linear;
  there.seconds_per_block_row *= slower;
  there.encode_seconds_per_pixel *= slower;
  there.decode_seconds_per_pixel *= slower;
  return there;
}

// What is asked about: a model's files, or FLUX.1 Kontext [dev] by its published sizes.
struct Subject {
  std::string name;
  PartConfigs configs;
  int64_t text_tokens = 512;  // Tt
  std::optional<Parts> parts;
};

Result<Subject> SubjectOf(const EngineOptions& e) {
  Subject subject;
  if (e.model.empty() && e.transformer.empty()) {
    subject.name = "FLUX.1 Kontext [dev]";
    subject.configs.defaults = FluxKontextDefaults();
    return subject;
  }
  KX_ASSIGN_OR_RETURN(subject.parts,
                      OpenParts({e.model, e.transformer, e.vae, e.clip, e.t5, e.tokenizers}));
  KX_ASSIGN_OR_RETURN(subject.configs, ReadPartConfigs(*subject.parts));
  subject.name = subject.parts->of(Part::kTransformer).path;
  const std::filesystem::path tokenizers = subject.parts->tokenizers;
  KX_ASSIGN_OR_RETURN(const T5Unigram t5, T5Unigram::Load((tokenizers / "tokenizer_2").string()));
  subject.text_tokens = t5.max_length();
  return subject;
}

struct Table {
  const PartConfigs& configs;
  int64_t text_tokens;
  const WeightSizes& sizes;
  const Rates& rates;
  Ops& ops;
  int64_t held_bytes;  // by the program before it does anything
  int threads;
  int64_t own_disk_bytes;
};

// A way to run the model: rows of the table.
struct Run {
  Mode mode;
  Encoding encoding;
};

Result<FitRow> RowFor(const Table& t, const Run& run, Size size, int64_t have) {
  const Encoding& encoding = run.encoding;
  const NetworkConfigs configs{t.configs.clip, t.configs.t5, t.configs.vae, t.configs.dit};
  EditPlan plan;
  plan.like = &ProfileOf(Like::kOurs);
  plan.steps = kStepsOfAnEdit;
  plan.size = size;
  plan.reference_sizes = {size};
  t.ops.SetPrecision(PrecisionOf(run.mode));
  KX_ASSIGN_OR_RETURN(const MemoryPlan memory,
                      PlanMemory(plan, configs, {.text_tokens = t.text_tokens}, t.ops));
  const int64_t tokens = int64_t{size.width / 16} * (size.height / 16);
  const DitPlan dit{t.text_tokens, tokens, tokens, plan.steps};
  const Forecast forecast = Predict(configs, dit, size, t.rates, PrecisionOf(run.mode),
                                    encoding.decode_seconds / t.threads);

  const auto bytes = [&](int64_t weights) {
    return static_cast<int64_t>(static_cast<double>(weights) * encoding.bytes_per_weight);
  };
  FitRow row;
  row.mode = NameOf(run.mode);
  row.encoding = encoding.name;
  row.size = size;
  row.anonymous_bytes = t.held_bytes + t.sizes.copied + memory.peak();
  row.weight_bytes = bytes(t.sizes.dit_repeated);
  const int64_t rest = t.sizes.dit - t.sizes.dit_repeated;  // modulations; `convert` leaves them
  row.disk_bytes = encoding.name.starts_with("as it is")
                       ? t.own_disk_bytes
                       : bytes(t.sizes.dit_repeated + t.sizes.t5) +
                             (encoding.is_int8 ? 2 * rest : bytes(rest)) +
                             2 * (t.sizes.clip + t.sizes.vae);
  const int64_t blocks = std::max<int64_t>(1, configs.dit.depth + configs.dit.depth_single);
  const int64_t block = 2 * row.weight_bytes / blocks;  // a double block has twice a single one's
  const int64_t room = have - row.anonymous_bytes;
  row.verdict = room >= row.weight_bytes ? "fits" : room >= block ? "streams" : "no";
  if (row.verdict == "streams") {
    row.read_bytes_per_step = row.weight_bytes - std::max<int64_t>(0, room - 2 * block);
  }
  row.seconds_per_step = forecast.step;
  const StepPlan steps = PlanSteps(run.mode, plan.steps);
  const auto forecasts = std::count(steps.begin(), steps.end(), StepKind::kForecast);
  row.seconds_per_edit = forecast.edit - static_cast<double>(forecasts) * forecast.step;
  return row;
}

Result<Fit> FitHere(const FitOptions& o) {
  const auto begin = std::chrono::steady_clock::now();
  KX_RETURN_IF_ERROR(CheckOptions(o));
  const ThreadScope scope(o.engine.threads);
  const int64_t held = MemoryOfProcess().anonymous;
  KX_ASSIGN_OR_RETURN(const auto ops, MakeOps({o.engine.backend, o.engine.dtype}));
  KX_ASSIGN_OR_RETURN(const Subject subject, SubjectOf(o.engine));
  const PartConfigs& configs = subject.configs;
  const NetworkConfigs networks{configs.clip, configs.t5, configs.vae, configs.dit};
  KX_ASSIGN_OR_RETURN(const Rates here, MeasureRates(networks, *ops));
  KX_ASSIGN_OR_RETURN(const cpu::CpuFeatures features, cpu::UsableCpuFeatures());

  Fit fit;
  fit.model = subject.name;
  fit.steps = kStepsOfAnEdit;
  fit.error = configs.dit.hidden < kSmallWidth ? kStatedErrorSmall : kStatedError;
  const int threads = o.engine.threads > 0 ? o.engine.threads : AvailableThreads();
  fit.machine = fmt::format("this machine, {} threads, {}", threads, OwnIsa(features));
  fit.source = "measured here, just now";
  const Rates rates = RatesFor(o, here, OwnIsa(features), fit);
  fit.linear_rate = rates.linear;
  fit.int8_rate = rates.linear_int8;
  fit.attention_rate = rates.attention;
  fit.int8_attention_rate = rates.attention_int8;
  fit.memory_bytes = o.memory > 0                ? o.memory
                     : o.engine.memory_limit > 0 ? o.engine.memory_limit
                                                 : held + AvailableBytes();

  const WeightSizes sizes = SizesOf(configs);
  // The modes in 8 bits for files that have that form already; others are copied into it, or
  // encoded anew each time, and better converted.
  std::vector<Run> runs = {{Mode::kExact, {"bf16", 2}}, {Mode::kExact, {"fp8", 1}}};
  Encoding int8{.name = "int8 (convert)", .bytes_per_weight = 1, .is_int8 = true};
  if (subject.parts) {
    const Encoding own = OwnEncoding(*subject.parts);
    if (own.is_int8) int8 = own;
    runs.insert(runs.begin(), {Mode::kExact, own});
  }
  for (const Mode mode : {Mode::kDefault, Mode::kBalanced, Mode::kFast})
    runs.push_back({mode, int8});
  const Table table{configs, subject.text_tokens,
                    sizes,   rates,
                    *ops,    held,
                    threads, subject.parts ? DiskBytes(*subject.parts) : 0};
  for (const Run& run : runs) {
    for (const Size& size : SizesToShow(o, configs.defaults)) {
      KX_ASSIGN_OR_RETURN(FitRow row, RowFor(table, run, size, fit.memory_bytes));
      fit.rows.push_back(std::move(row));
    }
  }
  fit.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return fit;
}

}  // namespace

Result<Fit> FitMachine(const FitOptions& options) {
  return Guard([&] { return FitHere(options); });
}

std::string FitJson(const Fit& f) {
  using Ordered = nlohmann::ordered_json;
  Ordered rows = Ordered::array();
  for (const FitRow& r : f.rows) {
    rows.push_back({{"mode", r.mode},
                    {"encoding", r.encoding},
                    {"width", r.size.width},
                    {"height", r.size.height},
                    {"anonymous_bytes", r.anonymous_bytes},
                    {"weight_bytes", r.weight_bytes},
                    {"disk_bytes", r.disk_bytes},
                    {"verdict", r.verdict},
                    {"read_bytes_per_step", r.read_bytes_per_step},
                    {"seconds_per_step", r.seconds_per_step},
                    {"seconds_per_edit", r.seconds_per_edit}});
  }
  const Ordered all = {{"model", f.model},
                       {"machine", f.machine},
                       {"computed", f.computed},
                       {"source", f.source},
                       {"memory_bytes", f.memory_bytes},
                       {"linear_gops", f.linear_rate * 1e-9},
                       {"int8_gops", f.int8_rate * 1e-9},
                       {"attention_gops", f.attention_rate * 1e-9},
                       {"int8_attention_gops", f.int8_attention_rate * 1e-9},
                       {"error", f.error},
                       {"calibration_seconds", f.seconds},
                       {"steps", f.steps},
                       {"rows", rows}};
  return all.dump(2, ' ', false, Ordered::error_handler_t::replace);
}

}  // namespace kontext
