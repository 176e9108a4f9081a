#include "io/checkpoint.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <iterator>
#include <new>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/listed.h"
#include "io/container.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexEnding = ".safetensors.index.json";
constexpr std::string_view kFileEnding = ".safetensors";

// Everything, unless a hostile file makes it absurdly long.
constexpr size_t kMostListed = 1000;

// What stands in the place of a safetensors file, and what to get; empty if its first bytes do not
// say.
std::string ForeignFormat(const MappedFile& file) {
  const std::string_view head(reinterpret_cast<const char*>(file.data()),
                              static_cast<size_t>(std::min<int64_t>(file.size(), 512)));
  const Container container = SniffContainer(head, file.size());
  if (container == Container::kSafetensors || container == Container::kJson ||
      container == Container::kUnknown) {
    return {};
  }
  const ContainerWords words = Describe(container);
  return fmt::format("{}{}{}", words.kind, *words.instead == '\0' ? "" : ": ", words.instead);
}

// The file names (no folders) that an index promises, with the tensors it promises in each.
using WeightMap = std::map<std::string, std::vector<std::string>>;

Result<WeightMap> ReadIndex(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const Json index, ReadJsonFile(path));
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return BadInput("{}: expected an object with a \"weight_map\"", path);
  }
  WeightMap shards;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string()) {
      return BadInput("{}: weight_map {} is no file name", path, Quoted(tensor));
    }
    const auto& name = file.get_ref<const std::string&>();
    // Shards lie beside their index: nothing in a downloaded file may name a place elsewhere.
    if (name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos ||
        !name.ends_with(kFileEnding)) {
      return BadInput(
          "{}: weight_map {} names the file {}; expected a name ending in {} without a "
          "folder",
          path, Quoted(tensor), Quoted(name), kFileEnding);
    }
    shards[name].push_back(tensor);
  }
  if (shards.empty()) return BadInput("{}: the \"weight_map\" is empty", path);
  return shards;
}

// The one checkpoint of a folder: its index, or its only .safetensors file.
Result<std::string> FindInFolder(const std::string& folder) {
  std::vector<std::string> indices, files;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(kIndexEnding)) indices.push_back(it->path().string());
    if (name.ends_with(kFileEnding)) files.push_back(it->path().string());
  }
  if (error) return BadInput("{}: cannot be listed: {}", folder, error.message());
  std::sort(indices.begin(), indices.end());
  std::sort(files.begin(), files.end());
  if (indices.empty() && files.empty()) {
    return BadInput("{}: holds no *{} and no *{}", folder, kFileEnding, kIndexEnding);
  }
  if (indices.empty() && files.size() == 1) return files[0];
  if (indices.size() != 1) {
    files.insert(files.end(), indices.begin(), indices.end());
    return BadInput("{}: holds more than one checkpoint: {}; name one of them", folder,
                    Listed(files, kMostListed));
  }
  // One index: fine as long as every weight file beside it is a shard of it.
  KX_ASSIGN_OR_RETURN(const WeightMap shards, ReadIndex(indices[0]));
  std::erase_if(files, [&](const std::string& file) {
    return shards.contains(fs::path(file).filename().string());
  });
  if (!files.empty()) {
    return BadInput("{}: holds {} and, not named in it, {}; name the one you mean", folder,
                    indices[0], Listed(files, kMostListed));
  }
  return indices[0];
}

Result<Safetensors> ParseFile(const MappedFile& file, const std::string& path) {
  if (const std::string format = ForeignFormat(file); !format.empty()) {
    return BadInput("{}: expected a safetensors file, got {}", path, format);
  }
  return ParseSafetensors({file.data(), static_cast<size_t>(file.size())}, path);
}

// All files at once or a list of those that are missing.
Status CheckShardsExist(const fs::path& folder, const WeightMap& shards, const std::string& index) {
  std::vector<std::string> missing;
  for (const auto& [name, tensors] : shards) {
    std::error_code error;
    if (!fs::exists(folder / name, error)) missing.push_back(Quoted(name));
  }
  if (missing.empty()) return {};
  return BadInput("{}: {} of its {} files are missing beside it: {}", index, missing.size(),
                  shards.size(), Listed(missing, kMostListed));
}

}  // namespace

Result<std::map<std::string, ConstTensorView>> Checkpoint::Map(const std::string& path) {
  KX_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  KX_ASSIGN_OR_RETURN(Safetensors parsed, ParseFile(file, path));
  mapped_.push_back(std::move(file));
  files_.push_back(path);
  metadata_.merge(parsed.metadata);  // the first file's word counts
  std::move(parsed.realigned.begin(), parsed.realigned.end(), std::back_inserter(realigned_));
  return std::move(parsed.tensors);
}

Status Checkpoint::MapShards(const std::string& index) {
  KX_ASSIGN_OR_RETURN(const WeightMap shards, ReadIndex(index));
  const fs::path folder = fs::path(index).parent_path();
  KX_RETURN_IF_ERROR(CheckShardsExist(folder, shards, index));
  std::vector<std::string> absent, twice;
  for (const auto& [name, promised] : shards) {
    KX_ASSIGN_OR_RETURN(const auto found, Map((folder / name).string()));
    for (const std::string& tensor : promised) {
      if (!found.contains(tensor)) {
        absent.push_back(fmt::format("{} in {}", Quoted(tensor), Quoted(name)));
      }
    }
    for (const auto& [tensor, view] : found) {
      if (!tensors_.emplace(tensor, view).second) {
        twice.push_back(fmt::format("{} in {}", Quoted(tensor), Quoted(name)));
      }
    }
  }
  if (!absent.empty()) {
    return BadInput("{}: {} tensors are not where it says: {}", index, absent.size(),
                    Listed(absent, kMostListed));
  }
  if (!twice.empty()) {
    return BadInput("{}: {} tensors are also in an earlier file: {}", index, twice.size(),
                    Listed(twice, kMostListed));
  }
  return {};
}

Result<Checkpoint> Checkpoint::Open(const std::string& path) {
  try {
    std::string file = path;
    std::error_code error;
    if (fs::is_directory(path, error)) {
      KX_ASSIGN_OR_RETURN(file, FindInFolder(path));
    }
    Checkpoint checkpoint;
    if (file.ends_with(kIndexEnding)) {
      KX_RETURN_IF_ERROR(checkpoint.MapShards(file));
    } else {
      KX_ASSIGN_OR_RETURN(checkpoint.tensors_, checkpoint.Map(file));
    }
    return checkpoint;
  } catch (const std::bad_alloc&) {
    return NoSpace("{}: not enough memory for the list of its tensors", path);
  } catch (const std::exception& error) {  // std::filesystem, on names it cannot convert
    return BadInput("{}: {}", path, error.what());
  }
}

}  // namespace kontext
