#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "cli/commands.h"

namespace kontext::cli {
namespace {

namespace fs = std::filesystem;

fs::path ProgramFolder() {
  std::error_code ec;
  const fs::path self = fs::read_symlink("/proc/self/exe", ec);
  return ec ? fs::path() : self.parent_path();
}

// The folder models/`name` that comes with the program and has `content`: beside it, in the source
// tree or in the install prefix; empty if it is nowhere.
std::string Bundled(const char* name, const char* content) {
  std::error_code ec;
  const fs::path here = ProgramFolder();
  for (const char* models : {"models", "../models", "../share/kontext/models"}) {
    const fs::path candidate = here / models / name;
    if (fs::exists(candidate / content, ec)) return fs::weakly_canonical(candidate, ec).string();
  }
  return "";
}

// "FILE" or "FILE:STRENGTH". A colon that no number follows belongs to the name.
LoraChoice ParseLora(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon != std::string::npos && colon + 1 < text.size()) {
    float strength = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, strength);
    if (error == std::errc() && rest == end) return {text.substr(0, colon), strength};
  }
  return {text};
}

}  // namespace

void AddMode(CLI::App& c, Mode& mode) {
  std::map<std::string, Mode> modes;
  for (const Mode m : kModes) modes[NameOf(m)] = m;
  c.add_option("--mode", mode,
               "exact: no approximation; default: the transformer's blocks multiply in 8 bits; "
               "balanced, fast: about two and four times as fast, by fewer "
               "passes of the transformer")
      ->transform(CLI::CheckedTransformer(modes))
      ->default_str(NameOf(mode));
}

void AddEngineFlags(CLI::App& c, EngineFlags& f) {
  c.add_option(
       "-m,--model", f.engine.model,
       "Model directory, transformer file or all-in-one file (default: the bundled mini model)")
      ->group("Model");
  c.add_option("--transformer", f.engine.transformer, "Transformer file instead of the model's")
      ->group("Model");
  c.add_option("--vae", f.engine.vae, "Autoencoder file, if -m has none or instead of it")
      ->group("Model");
  c.add_option("--clip", f.engine.clip, "CLIP-L file, if -m has none or instead of it")
      ->group("Model");
  c.add_option("--t5", f.engine.t5, "T5 file, if -m has none or instead of it")->group("Model");
  c.add_option("--tokenizers", f.engine.tokenizers,
               "Folder with tokenizer/ and tokenizer_2/ (default: the model directory, else "
               "FLUX.1's)")
      ->group("Model");
  c.add_option_function<std::vector<std::string>>(
       "--lora",
       [&f](const std::vector<std::string>& files) {
         for (const std::string& file : files) f.engine.loras.push_back(ParseLora(file));
       },
       "Adapter (LoRA, LoHa, LoKr, DoRA) to put on the model, FILE or FILE:STRENGTH; repeat for "
       "several")
      ->allow_extra_args(false)
      ->group("Model");
  c.add_flag("--lora-merge", f.engine.merge_loras,
             "Merge adapters into the weights instead of running them beside")
      ->group("Model");
  c.add_option("--backend", f.engine.backend,
               "cpu or reference (default: $KONTEXT_BACKEND, else cpu)")
      ->group("Machine");
  c.add_option("--dtype", f.engine.dtype, "bf16 or f32 (default: what suits the processor)")
      ->group("Machine");
  c.add_option("--threads", f.engine.threads, "Threads (default: all)")->group("Machine");
  c.add_option("--memory-limit", f.memory_limit,
               "Memory this process may hold, as 6GiB (default: what is free)")
      ->group("Machine");
  c.add_option("--cache", f.engine.cache,
               "Folder for the embeddings of prompts, so that a prompt is encoded once (default: "
               "none)")
      ->group("Machine");
}

Result<EngineOptions> Resolve(const EngineFlags& flags) {
  EngineOptions options = flags.engine;
  const bool all_parts = !options.transformer.empty() && !options.clip.empty() &&
                         !options.t5.empty() && !options.vae.empty();
  if (options.model.empty() && !all_parts) options.model = BundledModel();
  std::error_code ec;
  if (options.tokenizers.empty() && !fs::is_directory(options.model, ec))
    options.tokenizers = Bundled("flux1-tokenizers", "tokenizer");
  if (options.model.empty() && !all_parts) {
    return Status(
        Code::kBadInput,
        "the bundled mini model is not where it should be (models/mini beside the program, "
        "or share/kontext/models/mini); name a model directory with -m");
  }
  if (!flags.memory_limit.empty()) {
    Result<int64_t> bytes = ParseBytes(flags.memory_limit);
    if (!bytes.ok()) return bytes.status();
    options.memory_limit = *bytes;
  }
  return options;
}

int ExitCode(Code code) {
  switch (code) {
    case Code::kOk:
      return 0;
    case Code::kInternal:
      return 1;
    case Code::kUsage:
      return 2;
    case Code::kBadInput:
      return 3;
    case Code::kNoSpace:
      return 4;
    case Code::kCancelled:
      return 130;
  }
  return 1;
}

int Report(const Status& status) {
  if (!status.ok()) std::fprintf(stderr, "kontext: %s\n", status.message().c_str());
  return ExitCode(status.code());
}

Result<int64_t> ParseBytes(const std::string& text) {
  struct Unit {
    std::string_view suffix;
    double bytes;
  };
  constexpr std::array<Unit, 10> kUnits = {{{"", 1},
                                            {"B", 1},
                                            {"KiB", 0x1p10},
                                            {"MiB", 0x1p20},
                                            {"GiB", 0x1p30},
                                            {"TiB", 0x1p40},
                                            {"KB", 1e3},
                                            {"MB", 1e6},
                                            {"GB", 1e9},
                                            {"TB", 1e12}}};
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  std::string_view suffix(rest, static_cast<size_t>(end - rest));
  while (suffix.starts_with(' ')) suffix.remove_prefix(1);
  for (const Unit& u : kUnits) {
    if (error == std::errc() && suffix == u.suffix && value > 0 && value * u.bytes < 0x1p60) {
      return static_cast<int64_t>(value * u.bytes);
    }
  }
  return Status(Code::kUsage,
                fmt::format("\"{}\" is no amount of memory; write 6GiB or 500MB", text));
}

Result<Size> ParseSize(const std::string& text) {
  Size size;
  const char* const end = text.data() + text.size();
  const auto [x, error] = std::from_chars(text.data(), end, size.width);
  if (error == std::errc() && x != end && *x == 'x') {
    const auto [rest, error2] = std::from_chars(x + 1, end, size.height);
    if (error2 == std::errc() && rest == end && size.width > 0 && size.height > 0) return size;
  }
  return Status(Code::kUsage,
                fmt::format("--size {}: write WIDTHxHEIGHT, as 1024x768, or auto", text));
}

std::string BundledModel() {
  if (const char* named = std::getenv("KONTEXT_MODEL"); named != nullptr && *named != '\0')
    return named;
  return Bundled("mini", "model_index.json");
}

}  // namespace kontext::cli
