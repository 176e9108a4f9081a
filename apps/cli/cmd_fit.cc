// kontext fit: what a machine can run, and how fast.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "kontext/fit.h"

namespace kontext::cli {
namespace {

struct FitFlags {
  EngineFlags engine;
  std::string size, memory;
  FitOptions options;
  bool json = false;
};

std::string Bytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  return bytes < (1 << 30) ? fmt::format("{:.0f} MiB", value / 0x1p20)
                           : fmt::format("{:.1f} GiB", value / 0x1p30);
}

std::string Duration(double seconds) {
  if (seconds < 1) return fmt::format("{:.2f} s", seconds);
  if (seconds < 100) return fmt::format("{:.1f} s", seconds);
  if (seconds < 600) return fmt::format("{:.0f} s", seconds);
  if (seconds < 5400) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

void Print(const Fit& f) {
  std::printf("%s on %s, %s of memory\n", f.model.c_str(), f.machine.c_str(),
              Bytes(f.memory_bytes).c_str());
  std::printf("products %.0f Gop/s, attention %.0f; in 8 bits %.0f and %.0f: %s (%.1f s)\n",
              f.linear_rate * 1e-9, f.attention_rate * 1e-9, f.int8_rate * 1e-9,
              f.int8_attention_rate * 1e-9, f.source.c_str(), f.seconds);
  std::printf("%-8s %-22s %10s %10s %10s %10s  %-8s %10s %12s\n", "mode", "encoding", "size",
              "memory", "weights", "disk", "verdict", "a step",
              fmt::format("{} steps", f.steps).c_str());
  for (const FitRow& r : f.rows) {
    std::printf("%-8s %-22s %10s %10s %10s %10s  %-8s %10s %12s\n", r.mode.c_str(),
                r.encoding.c_str(), fmt::format("{}x{}", r.size.width, r.size.height).c_str(),
                Bytes(r.anonymous_bytes).c_str(), Bytes(r.weight_bytes).c_str(),
                Bytes(r.disk_bytes).c_str(), r.verdict.c_str(),
                Duration(r.seconds_per_step).c_str(), Duration(r.seconds_per_edit).c_str());
  }
  std::printf(
      "memory: what the program allocates; weights: pages of files beside it. \"streams\": they do "
      "not fit,\nand are read again in every step, which takes its own time if the disk is slower. "
      "%s\n",
      f.computed ? "These times are computed for a machine that is not this one."
                 : fmt::format("A step's time is right to about {:.0f} %.", 100 * f.error).c_str());
}

int RunFit(FitFlags& f) {
  f.options.engine = f.engine.engine;
  if (!f.engine.engine.model.empty() || !f.engine.engine.transformer.empty()) {
    const Result<EngineOptions> engine = Resolve(f.engine);
    if (!engine.ok()) return Report(engine.status());
    f.options.engine = *engine;
  }
  if (!f.size.empty()) {
    const Result<Size> size = ParseSize(f.size);
    if (!size.ok()) return Report(size.status());
    f.options.size = *size;
  }
  if (!f.memory.empty()) {
    const Result<int64_t> bytes = ParseBytes(f.memory);
    if (!bytes.ok()) return Report(bytes.status());
    f.options.memory = *bytes;
  }
  const Result<Fit> fit = FitMachine(f.options);
  if (!fit.ok()) return Report(fit.status());
  if (f.json) {
    std::printf("%s\n", FitJson(*fit).c_str());
  } else {
    Print(*fit);
  }
  return 0;
}

}  // namespace

void AddFit(CLI::App& app, Action& action) {
  CLI::App* c = app.add_subcommand("fit",
                                   "Which sizes and encodings a machine can run, and how fast: of "
                                   "FLUX.1 Kontext [dev], or of -m");
  auto flags = std::make_shared<FitFlags>();
  AddEngineFlags(*c, flags->engine);
  c->add_option("--size", flags->size, "WIDTHxHEIGHT: one more row of the table");
  c->add_option("--memory", flags->memory, "Of the machine meant, as 8GiB (default: what is free)");
  c->add_option("--cores", flags->options.cores, "Of a machine that is not this one: computed");
  c->add_option("--isa", flags->options.isa,
                "avx2, avx512, avx512_vnni, avx512_bf16 or amx, of a machine that is not this one");
  c->add_flag("--json", flags->json, "One JSON object");
  c->callback([flags, &action] { action = [flags] { return RunFit(*flags); }; });
}

}  // namespace kontext::cli
