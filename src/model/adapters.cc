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
    if (!(std::abs(choice.strength) <= kMaxStrength)) {
      return Usage("lora {}: strength {}, expected -{} to {}; 1 is as it was trained", choice.path,
                   choice.strength, kMaxStrength, kMaxStrength);
    }
    auto open = std::make_unique<OpenAdapter>();
    const std::string path = FileOf(choice.path);
    KX_ASSIGN_OR_RETURN(open->file, Checkpoint::Open(path));
    KX_ASSIGN_OR_RETURN(std::string config, ConfigBeside(path));
    KX_ASSIGN_OR_RETURN(open->adapter, ParseAdapter({.tensors = open->file.tensors(),
                                                     .metadata = open->file.metadata(),
                                                     .config = std::move(config),
                                                     .name = path},
                                                    names));
    KX_ASSIGN_OR_RETURN(open->sha256, Sha256OfFile(open->file.files().front()));
    open->strength = choice.strength;
    all.files_.push_back(std::move(open));
  }
  return all;
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
