// op_bench [--json] [--rounds N] [--dtype f32|bf16] [--mode exact|default] [--only OP]: the ops of
// the cpu backend at FLUX's sizes beside a bare oneDNN product. Bare product and ops take turns,
// and a ratio compares neighbours, so that a machine that is sometimes busy (or hot) slows both.
#include <fmt/format.h>
#include <omp.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "compute/cpu/bare_matmul.h"
#include "compute/cpu/cpu.h"
#include "compute/cpu/cpu_features.h"
#include "compute/cpu/onednn.h"
#include "op_cases.h"

namespace kontext::bench {
namespace {

using namespace std::string_view_literals;

using cpu::BareMatMul;
using nlohmann::json;

struct Times {
  std::vector<double> wall, processor;  // seconds, one per round
};

double ProcessorSeconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(u.ru_utime) + seconds(u.ru_stime);
}

template <class Body>
void Time(Times& times, Body body) {
  using Clock = std::chrono::steady_clock;
  // Short ops are repeated until a clock tick is nothing beside them.
  constexpr double kLeastSeconds = 0.02;
  const double processor = ProcessorSeconds();
  const auto begin = Clock::now();
  double wall = 0;
  int runs = 0;
  for (; wall < kLeastSeconds; ++runs) {
    body();
    wall = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  times.wall.push_back(wall / runs);
  times.processor.push_back((ProcessorSeconds() - processor) / runs);
}

double Median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

// The median over the rounds of (rate of the op) / (rate of the bare product in that round).
double Ratio(const Case& c, const std::vector<double>& times, const std::vector<double>& bare) {
  std::vector<double> ratios;
  for (size_t i = 0; i < times.size(); ++i) {
    ratios.push_back(c.operations / times[i] * bare[i] / BareMatMul::kOperations);
  }
  return Median(ratios);
}

const char* Name(BareMatMul::Kind kind) {
  switch (kind) {
    case BareMatMul::Kind::kF32:
      return "f32";
    case BareMatMul::Kind::kBF16:
      return "bf16";
    case BareMatMul::Kind::kS8:
      return "s8";
    case BareMatMul::Kind::kU8S8:
      return "u8s8";
  }
  return "?";
}

// Gop/s of the bare product by dtype; null where oneDNN refuses.
Result<json> BareRates(int rounds) {
  json rates = json::object();
  for (BareMatMul::Kind kind : {BareMatMul::Kind::kF32, BareMatMul::Kind::kBF16,
                                BareMatMul::Kind::kS8, BareMatMul::Kind::kU8S8}) {
    rates[Name(kind)] = nullptr;
    Result<BareMatMul> bare = BareMatMul::Make(kind);
    if (!bare.ok()) continue;
    Times times;
    Status status = bare->Run();  // the first call also touches the memory
    for (int i = 0; i < rounds && status.ok(); ++i) Time(times, [&] { status = bare->Run(); });
    KX_RETURN_IF_ERROR(status);
    const double best = *std::min_element(times.wall.begin(), times.wall.end());
    rates[Name(kind)] = {{"gops_median", BareMatMul::kOperations / Median(times.wall) * 1e-9},
                         {"gops_best", BareMatMul::kOperations / best * 1e-9},
                         {"implementation", bare->implementation()}};
  }
  return rates;
}

json Row(const Case& c, const Times& t, const Times& bare) {
  const double best = *std::min_element(t.wall.begin(), t.wall.end());
  json row = {{"op", c.op},
              {"shape", c.shape},
              {"ms_median", Median(t.wall) * 1e3},
              {"ms_best", best * 1e3}};
  if (c.operations > 0) {
    row["gops_median"] = c.operations / Median(t.wall) * 1e-9;
    row["gops_best"] = c.operations / best * 1e-9;
    row["of_bare"] = Ratio(c, t.wall, bare.wall);
    row["of_bare_by_processor_time"] = Ratio(c, t.processor, bare.processor);
  } else {
    row["gbytes_per_s"] = c.bytes / Median(t.wall) * 1e-9;
  }
  return row;
}

// Every case once, each beside the time of a bare product not older than a few seconds.
Status RunRound(const std::vector<Case>& cases, BareMatMul& bare, std::vector<Times>& times,
                std::vector<Times>& bare_times) {
  constexpr auto kFresh = std::chrono::seconds(4);
  Times last;
  std::chrono::steady_clock::time_point measured;
  for (size_t i = 0; i < cases.size(); ++i) {
    if (last.wall.empty() || std::chrono::steady_clock::now() - measured > kFresh) {
      Status status;
      Time(last, [&] { status = bare.Run(); });
      KX_RETURN_IF_ERROR(status);
      measured = std::chrono::steady_clock::now();
    }
    bare_times[i].wall.push_back(last.wall.back());
    bare_times[i].processor.push_back(last.processor.back());
    Time(times[i], cases[i].run);
  }
  return Status();
}

struct Options {
  bool as_json = false;
  int rounds = 5;
  Precision precision = Precision::kExact;
  std::string dtype, only;
};

Result<json> RunAll(const Options& options) {
  KX_ASSIGN_OR_RETURN(const cpu::CpuFeatures features, cpu::UsableCpuFeatures());
  KX_ASSIGN_OR_RETURN(const std::unique_ptr<Ops> ops, MakeCpuOps(options.dtype));
  ops->SetPrecision(options.precision);
  const bool native = cpu::PlanFor(features, options.dtype).path == cpu::ProductPath::kLibrary;
  json report = {{"onednn", onednn::Version()},
                 {"threads", omp_get_max_threads()},
                 {"avx2", features.avx2},
                 {"avx512", features.avx512},
                 {"vnni", features.vnni},
                 {"bf16", features.bf16},
                 {"amx", features.amx},
                 {"activations", ops->activation_dtype() == DType::kBF16 ? "bf16" : "f32"},
                 {"bare_dtype", options.precision == Precision::kInt8 ? "u8s8"
                                : native                              ? "bf16"
                                                                      : "f32"},
                 {"rounds", options.rounds}};
  KX_ASSIGN_OR_RETURN(report["bare"], BareRates(options.rounds));
  KX_ASSIGN_OR_RETURN(BareMatMul bare, BareMatMul::Make(options.precision == Precision::kInt8
                                                            ? BareMatMul::Kind::kU8S8
                                                        : native ? BareMatMul::Kind::kBF16
                                                                 : BareMatMul::Kind::kF32));
  KX_ASSIGN_OR_RETURN(std::vector<Case> cases, MakeCases(*ops));
  KX_RETURN_IF_ERROR(bare.Run());
  std::erase_if(cases, [&](const Case& c) { return c.op.find(options.only) == std::string::npos; });
  std::vector<Times> times(cases.size()), bare_times(cases.size());
  for (const Case& c : cases) c.run();  // makes primitives and scratch memory
  for (int round = 0; round < options.rounds; ++round) {
    KX_RETURN_IF_ERROR(RunRound(cases, bare, times, bare_times));
    KX_RETURN_IF_ERROR(ops->TakeStatus());
  }
  report["ops"] = json::array();
  for (size_t i = 0; i < cases.size(); ++i) {
    report["ops"].push_back(Row(cases[i], times[i], bare_times[i]));
  }
  return report;
}

void PrintTable(const json& report) {
  fmt::print("oneDNN {}, {} threads, activations {}\n\n", report["onednn"].get<std::string>(),
             report["threads"].get<int>(), report["activations"].get<std::string>());
  fmt::print("bare 2560 x 3072 x 12288          median    best  Gop/s\n");
  for (const auto& [name, rate] : report["bare"].items()) {
    if (rate.is_null()) {
      fmt::print("{:30} refused\n", name);
    } else {
      fmt::print("{:30} {:9.1f} {:7.1f}  {}\n", name, rate["gops_median"].get<double>(),
                 rate["gops_best"].get<double>(), rate["implementation"].get<std::string>());
    }
  }
  fmt::print("\n{:30} {:26} {:>9} {:>8} {:>8} {:>8} {:>9}\n", "op", "shape", "ms", "Gop/s",
             "of bare", "(cpu)", "GB/s");
  for (const json& r : report["ops"]) {
    fmt::print("{:30} {:26} {:9.2f} ", r["op"].get<std::string>(), r["shape"].get<std::string>(),
               r["ms_median"].get<double>());
    if (r.contains("of_bare")) {
      fmt::print("{:8.1f} {:7.0f}% {:7.0f}%\n", r["gops_median"].get<double>(),
                 100 * r["of_bare"].get<double>(),
                 100 * r["of_bare_by_processor_time"].get<double>());
    } else {
      fmt::print("{:>37.1f}\n", r["gbytes_per_s"].get<double>());
    }
  }
}

int Main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (arg == "--json") {
      options.as_json = true;
    } else if (arg == "--rounds" && value != nullptr && std::atoi(value) > 0) {
      options.rounds = std::atoi(argv[++i]);
    } else if (arg == "--dtype" && value != nullptr) {
      options.dtype = argv[++i];
    } else if (arg == "--mode" && value != nullptr &&
               (value == "exact"sv || value == "default"sv)) {
      options.precision = argv[++i] == "default"sv ? Precision::kInt8 : Precision::kExact;
    } else if (arg == "--only" && value != nullptr) {
      options.only = argv[++i];
    } else {
      fmt::print(stderr,
                 "usage: op_bench [--json] [--rounds N] [--dtype f32|bf16] [--mode exact|default] "
                 "[--only OP]\n");
      return 2;
    }
  }
  const Result<json> report = RunAll(options);
  if (!report.ok()) {
    fmt::print(stderr, "op_bench: {}\n", report.status().message());
    return 1;
  }
  if (options.as_json) {
    fmt::print("{}\n", report->dump(2));
  } else {
    PrintTable(*report);
  }
  return 0;
}

}  // namespace
}  // namespace kontext::bench

int main(int argc, char** argv) { return kontext::bench::Main(argc, argv); }
