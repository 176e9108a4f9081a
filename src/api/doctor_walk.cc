#include "api/doctor_walk.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <set>
#include <string_view>

#include "io/container.h"
#include "io/json.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 12> kWeightEndings = {
    ".safetensors", ".sft",  ".gguf",   ".ckpt", ".pt",  ".pth",
    ".bin",         ".onnx", ".engine", ".plan", ".trt", ".onnx_data"};
constexpr std::array<std::string_view, 6> kUnfinishedEndings = {
    ".part", ".crdownload", ".incomplete", ".aria2", ".download", ".partial"};
constexpr std::string_view kIndexEnding = ".safetensors.index.json";
constexpr uintmax_t kNamelessBytes = 1'000'000;  // a file of any other name is looked at from here

template <class Endings>
bool EndsWithOneOf(const fs::path& path, const Endings& endings) {
  std::string name = path.filename().string();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

class Walker {
 public:
  explicit Walker(const WalkLimits& limits) : limits_(limits) {}

  Walked Walk(const fs::path& root) {
    Visit(root, 0);
    if (truncated_) {
      out_.notes.push_back(fmt::format(
          "looked at the first {} files and folders, {} levels deep; name a smaller folder to see "
          "the rest",
          entries_, limits_.depth));
    }
    // Shards are seen through their index, wherever in the walk it stood.
    std::erase_if(out_.weights, [&](const std::string& path) { return shards_.contains(path); });
    return std::move(out_);
  }

 private:
  void Visit(const fs::path& folder, int depth) {
    std::error_code ec;
    const fs::path real = fs::canonical(folder, ec);
    if (ec || !seen_.insert(real.string()).second) return;  // a circle of links, or known already
    std::vector<fs::path> entries;
    fs::directory_iterator it(folder, ec);
    for (; !ec && it != fs::directory_iterator(); it.increment(ec)) {
      if (entries.size() > limits_.entries) break;
      entries.push_back(it->path());
    }
    if (ec)
      out_.notes.push_back(fmt::format("{}: cannot be listed: {}", folder.string(), ec.message()));
    std::sort(entries.begin(), entries.end());
    NoteFolder(folder);
    for (const fs::path& entry : entries) {
      if (++entries_ > limits_.entries) truncated_ = true;
      if (entries_ > limits_.entries) return;
      const fs::file_status status = fs::status(entry, ec);
      if (ec) {
        out_.notes.push_back(fmt::format("{}: {}", entry.string(), ec.message()));
      } else if (fs::is_directory(status)) {
        const std::string name = entry.filename().string();
        if (name.starts_with('.') || name == "blobs") continue;
        if (depth + 1 < limits_.depth) {
          Visit(entry, depth + 1);
        } else {
          truncated_ = true;
        }
      } else if (fs::is_regular_file(status)) {
        LookAt(entry);
      }
    }
  }

  void NoteFolder(const fs::path& folder) {
    std::error_code ec;
    if (fs::exists(folder / "model_index.json", ec)) out_.models.push_back(folder.string());
    if (fs::is_directory(folder / "tokenizer", ec) && fs::is_directory(folder / "tokenizer_2", ec))
      out_.tokenizers.push_back(folder.string());
  }

  void LookAt(const fs::path& path) {
    std::error_code ec;
    const fs::path real = fs::canonical(path, ec);
    if (ec || !seen_.insert(real.string()).second) return;
    if (path.filename().string().ends_with(kIndexEnding)) return AddIndex(path);
    const bool unfinished = EndsWithOneOf(path, kUnfinishedEndings);
    const bool named = EndsWithOneOf(path, kWeightEndings);
    if (!named && !unfinished && (fs::file_size(path, ec) < kNamelessBytes || ec)) return;
    if (unfinished) {
      out_.odd.push_back(
          {path.string(), "an unfinished download", "let the download finish, or start it again"});
      return;
    }
    const Result<Container> container = SniffFile(path.string());
    if (!container.ok()) {
      out_.notes.push_back(container.message());
    } else if (*container == Container::kSafetensors || *container == Container::kGguf) {
      if (out_.weights.size() < limits_.weights) {
        out_.weights.push_back(path.string());
      } else {
        truncated_ = true;
      }
    } else if (named) {
      const ContainerWords words = Describe(*container);
      out_.odd.push_back({path.string(), words.kind, words.instead});
    }
  }

  void AddIndex(const fs::path& path) {
    if (out_.weights.size() >= limits_.weights) return;
    out_.weights.push_back(path.string());
    const Result<Json> index = ReadJsonFile(path.string());
    if (!index.ok() || !index->is_object() || !index->contains("weight_map")) return;
    const Json& map = index->at("weight_map");
    if (!map.is_object()) return;
    for (const auto& [tensor, file] : map.items()) {
      if (file.is_string()) shards_.insert((path.parent_path() / file.get<std::string>()).string());
    }
  }

  const WalkLimits limits_;
  Walked out_;
  std::set<std::string> seen_;    // canonical paths
  std::set<std::string> shards_;  // as the walk names them
  size_t entries_ = 0;
  bool truncated_ = false;
};

}  // namespace

Result<Walked> WalkFolder(const std::string& folder, const WalkLimits& limits) {
  std::error_code ec;
  if (!fs::is_directory(folder, ec)) {
    return BadInput("{}: is no folder; \"kontext inspect\" looks at single files", folder);
  }
  return Walker(limits).Walk(folder);
}

}  // namespace kontext
