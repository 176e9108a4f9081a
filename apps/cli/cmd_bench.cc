// kontext bench: how fast this machine is.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace kontext::cli {
namespace {

using Json = nlohmann::ordered_json;

struct StepFlags {
  std::string blocks = "2,4", size = "512x512";
  bool json = false, generate = false;
  StepBenchOptions options;
};

Json Rate(double rate) { return rate > 0 ? Json(rate * 1e-9) : Json(nullptr); }

Json ToJson(const std::vector<OpTime>& times) {
  Json trace = Json::array();
  for (const OpTime& t : times) {
    trace.push_back({{"op", t.op},
                     {"result", t.result},
                     {"calls", t.calls},
                     {"seconds", t.seconds},
                     {"operations", t.operations},
                     {"bytes", t.bytes}});
  }
  return trace;
}

Json ToJson(const StepBench& b, Mode mode) {
  return {{"seconds", b.seconds},
          {"all_seconds", b.all_seconds},
          {"gops", b.operations / b.seconds * 1e-9},
          {"bare",
           {{"f32", Rate(b.bare_f32)},
            {"bf16", Rate(b.bare_bf16)},
            {"s8", Rate(b.bare_s8)},
            {"u8s8", Rate(b.bare_u8s8)}}},
          {"isa", b.isa},
          {"mode", NameOf(mode)},
          {"dtype", b.dtype},
          {"threads", b.threads},
          {"tokens", b.tokens},
          {"trace", ToJson(b.trace)}};
}

void Print(const std::vector<OpTime>& trace) {
  std::printf("%-20s %-16s %6s %9s %8s %8s\n", "op", "result", "calls", "seconds", "Gop/s", "GB");
  for (const OpTime& t : trace) {
    std::printf("%-20s %-16s %6lld %9.3f %8.1f %8.2f\n", t.op.c_str(), t.result.c_str(),
                static_cast<long long>(t.calls), t.seconds, t.operations / t.seconds * 1e-9,
                t.bytes * 1e-9);
  }
}

void Print(const StepBench& b, Mode mode) {
  const double gops = b.operations / b.seconds * 1e-9;
  const double bare = mode == Mode::kDefault ? b.bare_u8s8
                      : b.dtype == "BF16"    ? b.bare_bf16
                                             : b.bare_f32;
  std::printf("one step: %.3f s, %.1f Gop/s, %lld tokens, %s activations, %d threads, %s\n",
              b.seconds, gops, static_cast<long long>(b.tokens), b.dtype.c_str(), b.threads,
              b.isa.c_str());
  const auto rate = [](const char* name, double r) {
    if (r > 0) {
      std::printf("bare oneDNN matmul 2560x3072x12288, %-5s %8.1f Gop/s\n", name, r * 1e-9);
    } else {
      std::printf("bare oneDNN matmul 2560x3072x12288, %-5s refused by this machine\n", name);
    }
  };
  rate("f32", b.bare_f32);
  rate("bf16", b.bare_bf16);
  rate("s8", b.bare_s8);
  rate("u8s8", b.bare_u8s8);
  if (bare > 0)
    std::printf("the step reaches %.1f %% of the bare matmul\n", 100 * gops / (bare * 1e-9));
  Print(b.trace);
}

int RunStep(StepFlags& f) {
  if (std::sscanf(f.blocks.c_str(), "%d,%d", &f.options.double_blocks, &f.options.single_blocks) !=
      2) {
    return Report(
        Status(Code::kUsage, fmt::format("--blocks {}: write DOUBLE,SINGLE, as 2,4", f.blocks)));
  }
  const Result<Size> size = ParseSize(f.size);
  if (!size.ok()) return Report(size.status());
  f.options.size = *size;
  f.options.edit = !f.generate;
  if (f.options.mode != Mode::kExact && f.options.mode != Mode::kDefault) {
    return Report(
        Status(Code::kUsage, fmt::format("--mode {}: leaves steps out; a step is timed as "
                                         "exact or default",
                                         NameOf(f.options.mode))));
  }
  const Result<StepBench> bench = BenchStep(f.options);
  if (!bench.ok()) return Report(bench.status());
  if (f.json) {
    std::printf("%s\n", ToJson(*bench, f.options.mode).dump(2).c_str());
  } else {
    Print(*bench, f.options.mode);
  }
  return 0;
}

int Tell(const std::string& what, const Result<PartBench>& bench, bool json) {
  if (!bench.ok()) return Report(bench.status());
  const double gops = bench->operations / bench->seconds * 1e-9;
  if (json) {
    std::printf("%s\n", Json{{"seconds", bench->seconds},
                             {"all_seconds", bench->all_seconds},
                             {"gops", gops},
                             {"memory", bench->memory},
                             {"isa", bench->isa},
                             {"trace", ToJson(bench->trace)}}
                            .dump(2)
                            .c_str());
  } else {
    std::printf("%s: %.3f s, %.1f Gop/s, %.0f MiB beside the weights, %s\n", what.c_str(),
                bench->seconds, gops, static_cast<double>(bench->memory) / (1 << 20),
                bench->isa.c_str());
    Print(bench->trace);
  }
  return 0;
}

struct DecodeFlags {
  std::string size = "512x512";
  bool json = false;
  DecodeBenchOptions options;
};

int RunDecode(DecodeFlags& f) {
  const Result<Size> size = ParseSize(f.size);
  if (!size.ok()) return Report(size.status());
  f.options.size = *size;
  return Tell("decoding " + f.size, BenchDecode(f.options), f.json);
}

struct TextFlags {
  bool json = false;
  TextBenchOptions options;
};

// What all measurements take.
template <class Flags>
void AddMeasuring(CLI::App& c, Flags& flags, const std::string& what) {
  c.add_option("--repeats", flags.options.repeats, what + " measured after one warm-up (default 3)")
      ->check(CLI::Range(1, 1000));
  c.add_option("--backend", flags.options.backend, "cpu or reference");
  c.add_option("--dtype", flags.options.dtype, "bf16 or f32 (default: what suits the processor)");
  c.add_option("--threads", flags.options.threads, "Threads (default: all)");
  c.add_flag("--json", flags.json, "One JSON object");
}

}  // namespace

void AddBench(CLI::App& app, Action& action) {
  CLI::App* c = app.add_subcommand("bench", "Measure this machine");
  c->require_subcommand(1);
  auto flags = std::make_shared<StepFlags>();
  CLI::App* step = c->add_subcommand(
      "step", "One edit step of full-width FLUX with random weights, and a bare matmul beside it");
  step->add_option("--blocks", flags->blocks,
                   "Double and single blocks (default 2,4; the real model has 19,38)");
  step->add_option("--size", flags->size, "WIDTHxHEIGHT of target and reference (default 512x512)");
  step->add_option("--text", flags->options.text_tokens, "Text tokens (default 512)")
      ->check(CLI::Range(1, 512));
  AddMode(*step, flags->options.mode);
  AddMeasuring(*step, *flags, "Steps");
  step->add_flag("--generate", flags->generate, "Without reference tokens");
  step->callback([flags, &action] { action = [flags] { return RunStep(*flags); }; });

  auto decoding = std::make_shared<DecodeFlags>();
  CLI::App* decode = c->add_subcommand("decode", "FLUX.1's autoencoder with random weights");
  decode->add_option("--size", decoding->size, "WIDTHxHEIGHT of the picture (default 512x512)");
  AddMeasuring(*decode, *decoding, "Pictures");
  decode->callback([decoding, &action] { action = [decoding] { return RunDecode(*decoding); }; });

  auto encoding = std::make_shared<TextFlags>();
  CLI::App* text = c->add_subcommand("text", "T5-XXL's encoder with random weights");
  text->add_option("--layers", encoding->options.layers, "Layers (default 24, 9.5 GB of weights)");
  text->add_option("--tokens", encoding->options.tokens, "Tokens (default 512)");
  AddMeasuring(*text, *encoding, "Prompts");
  text->callback([encoding, &action] {
    action = [encoding] {
      const TextBenchOptions& o = encoding->options;
      return Tell(fmt::format("{} layers of T5-XXL, {} tokens", o.layers, o.tokens), BenchText(o),
                  encoding->json);
    };
  });
}

}  // namespace kontext::cli
