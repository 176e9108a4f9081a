#include "model/adapters.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "base/listed.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "model/sha256.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

constexpr float kMaxStrength = 100;
constexpr size_t kMaxListed = 8;  // names spelled out in a note
constexpr int64_t kMaxConfigBytes = 1 << 20;

Result<std::string> ConfigBeside(const std::string& path) {
  const fs::path config = fs::path(path).parent_path() / "adapter_config.json";
  std::error_code ec;
  if (!fs::is_regular_file(config, ec)) return std::string();
  return ReadTextFile(config.string(), kMaxConfigBytes);
}

// A folder as PEFT saves one stands for the adapter in it.
std::string FileOf(const std::string& path) {
  std::error_code ec;
  const fs::path in_folder = fs::path(path) / "adapter_model.safetensors";
  return fs::is_regular_file(in_folder, ec) ? in_folder.string() : path;
}

}  // namespace

Result<Adapters> Adapters::Open(const std::vector<LoraChoice>& choices, bool merge,
                                const AdapterNames& names) {
  Adapters all;
  all.merge_ = merge;
  for (const LoraChoice& choice : choices) {
    auto open = std::make_unique<OpenAdapter>();
    const std::string path = FileOf(choice.path);
    open->few_step = FewStepOf(path);
    open->strength = choice.strength.value_or(open->few_step ? open->few_step->strength : 1.0f);
    if (!(std::abs(open->strength) <= kMaxStrength)) {
      return Usage("lora {}: strength {}, expected -{} to {}; 1 is as it was trained", choice.path,
                   open->strength, kMaxStrength, kMaxStrength);
    }
    KX_ASSIGN_OR_RETURN(open->file, Checkpoint::Open(path));
    KX_ASSIGN_OR_RETURN(std::string config, ConfigBeside(path));
    KX_ASSIGN_OR_RETURN(open->adapter, ParseAdapter({.tensors = open->file.tensors(),
                                                     .metadata = open->file.metadata(),
                                                     .config = std::move(config),
                                                     .name = path},
                                                    names));
    KX_ASSIGN_OR_RETURN(open->sha256, Sha256OfFile(open->file.files().front()));
    all.files_.push_back(std::move(open));
  }
  return all;
}

const FewStep* Adapters::few_step() const {
  const FewStep* last = nullptr;
  for (const auto& file : files_) {
    if (file->few_step != nullptr && file->strength != 0) last = file->few_step;
  }
  return last;
}

AdaptedSource Adapters::On(TensorSource& base) const {
  std::vector<AppliedAdapter> applied;
  for (const auto& file : files_) applied.push_back({&file->adapter, file->strength});
  return AdaptedSource(base, applied, merge_);
}

std::vector<std::string> Adapters::Notes() const {
  std::vector<std::string> notes;
  for (const auto& file : files_) {
    const Adapter& a = file->adapter;
    const std::string name = fs::path(a.file).filename().string();
    notes.push_back(fmt::format("{} ({} names, strength {}): {} of {} keys used", name, a.family,
                                file->strength, a.used, a.keys));
    if (file->few_step != nullptr && file->few_step == few_step()) {
      notes.push_back(fmt::format(
          "{} is {} by its name: {} steps, guidance {} and strength {}, as its makers say, where "
          "nothing else is asked for",
          name, file->few_step->name, file->few_step->steps, file->few_step->guidance,
          file->few_step->strength));
    }
    if (!a.unused.empty()) {
      notes.push_back(
          fmt::format("{}: not used: {}", name, Listed(a.unused, kMaxListed, ", ", Quoted)));
    }
    if (!a.skipped.empty()) {
      notes.push_back(fmt::format("{}: skipped: {}", name, Listed(a.skipped, kMaxListed)));
    }
  }
  return notes;
}

}  // namespace kontext
