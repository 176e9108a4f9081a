#include "edit/prompt_cache.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/version.h"
#include "compute/cpu/cpu_features.h"
#include "edit/finite.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "model/sha256.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "prompt-", kEnding = ".safetensors";

ByteSpan BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }
template <class T>
ByteSpan BytesOf(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}
ByteSpan BytesOf(const ConstTensorView& v) {
  return {v.data(), static_cast<size_t>(v.shape().NumElements() * SizeOf(v.dtype()))};
}

// Of key and numbers: a file that was damaged, or renamed, does not have it.
Result<std::string> Checksum(const std::string& key, const ConstTensorView& states,
                             const ConstTensorView& pooled) {
  Sha256 sha;
  sha.Add(BytesOf(key));
  sha.Add(BytesOf(states));
  sha.Add(BytesOf(pooled));
  return sha.Take();
}

Result<Tensor> CopyOf(const ConstTensorView& view) {
  KX_ASSIGN_OR_RETURN(Tensor copy, Tensor::Allocate(view.dtype(), view.shape()));
  const ByteSpan bytes = BytesOf(view);
  std::copy(bytes.begin(), bytes.end(), copy.view().data());
  return copy;
}

}  // namespace

Result<std::string> PromptKey(const Model& model, const PromptIds& ids, const LikeProfile& like,
                              const Ops& ops, int threads) {
  KX_ASSIGN_OR_RETURN(const cpu::CpuFeatures f, cpu::UsableCpuFeatures());
  // Sizes before contents, so that no two lists run into each other.
  std::string how = fmt::format(
      "{} {} {} {} sse4={} avx2={} avx512={} vnni={} bf16={} amx={} clip={} t5={} weights={} "
      "chunk={} rule={} encoders={}",
      kVersion, ops.name(), Name(ops.activation_dtype()), threads, f.sse4, f.avx2, f.avx512, f.vnni,
      f.bf16, f.amx, ids.clip.size(), ids.t5.size(), ids.t5_weights.size(), ids.t5_chunk,
      static_cast<int>(like.weights), model.text_fingerprint);
  for (const auto& file : model.adapters.files()) {
    how += fmt::format(" {} {}", file->sha256, file->strength);
  }
  if (model.adapters.merged()) how += " merged";
  Sha256 sha;
  sha.Add(BytesOf(how));
  sha.Add(BytesOf(ids.clip));
  sha.Add(BytesOf(ids.t5));
  sha.Add(BytesOf(ids.t5_weights));
  return sha.Take();
}

std::string PromptCache::PathOf(const std::string& key) const {
  return (fs::path(folder_) / fmt::format("{}{}{}", kPrefix, key, kEnding)).string();
}

std::shared_ptr<const Prompt> PromptCache::Read(const std::string& key, const Shape& states,
                                                const Shape& pooled) const {
  const Result<Checkpoint> file = Checkpoint::Open(PathOf(key));
  if (!file.ok()) return nullptr;
  const auto tensor = [&](const char* name, const Shape& shape) -> ConstTensorView {
    const auto found = file->tensors().find(name);
    if (found == file->tensors().end() || found->second.dtype() != DType::kF32) return {};
    return found->second.shape() == shape ? found->second : ConstTensorView();
  };
  const ConstTensorView s = tensor("states", states), p = tensor("pooled", pooled);
  const auto promised = file->metadata().find("sha256");
  if (s.empty() || p.empty() || promised == file->metadata().end()) return nullptr;
  const Result<std::string> sum = Checksum(key, s, p);
  if (!sum.ok() || *sum != promised->second || !AllFinite(s) || !AllFinite(p)) return nullptr;
  auto prompt = std::make_shared<Prompt>();
  Result<Tensor> states_copy = CopyOf(s), pooled_copy = CopyOf(p);
  if (!states_copy.ok() || !pooled_copy.ok()) return nullptr;
  prompt->states = *std::move(states_copy);
  prompt->pooled = *std::move(pooled_copy);
  return prompt;
}

Status PromptCache::Write(const std::string& key, const Prompt& prompt) const {
  std::error_code ec;
  fs::create_directories(folder_, ec);
  if (ec) return BadInput("{}: cannot be made: {}", folder_, ec.message());
  KX_ASSIGN_OR_RETURN(const std::string sum,
                      Checksum(key, prompt.states.view(), prompt.pooled.view()));
  KX_RETURN_IF_ERROR(WriteSafetensors(
      PathOf(key), {{"states", prompt.states.view()}, {"pooled", prompt.pooled.view()}},
      {{"sha256", sum}, {"made_by", fmt::format("kontext.cpp {}", kVersion)}}));
  Prune();
  return Status();
}

// Removes our oldest files until the rest fits; nothing else in the folder is touched.
void PromptCache::Prune() const {
  struct File {
    fs::path path;
    fs::file_time_type time;
    int64_t bytes;
  };
  std::vector<File> files;
  int64_t sum = 0;
  std::error_code ec;
  for (fs::directory_iterator it(folder_, ec); !ec && it != fs::directory_iterator();
       it.increment(ec)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(kEnding)) continue;
    std::error_code file_error;
    const auto bytes = static_cast<int64_t>(it->file_size(file_error));
    const auto time = it->last_write_time(file_error);
    if (file_error) continue;
    files.push_back({it->path(), time, bytes});
    sum += bytes;
  }
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.time < b.time; });
  for (size_t i = 0; i + 1 < files.size() && sum > kMostOnDisk; ++i) {
    fs::remove(files[i].path, ec);
    sum -= files[i].bytes;
  }
}

void PromptCache::Remember(const std::string& key, const std::shared_ptr<const Prompt>& prompt) {
  recent_.remove_if([&](const auto& entry) { return entry.first == key; });
  recent_.emplace_front(key, prompt);
  if (recent_.size() > kMostInMemory) recent_.pop_back();
}

Result<std::shared_ptr<const Prompt>> PromptCache::Get(
    const std::string& key, const Shape& states, const Shape& pooled,
    const std::function<Result<std::shared_ptr<const Prompt>>()>& make,
    std::vector<std::string>& notes) {
  std::shared_ptr<const Prompt> prompt;
  for (const auto& [known, entry] : recent_) {
    if (known == key) prompt = entry;
  }
  if (prompt == nullptr && !folder_.empty()) prompt = Read(key, states, pooled);
  if (prompt == nullptr) {
    KX_ASSIGN_OR_RETURN(prompt, make());
    if (!folder_.empty()) {
      const Status written = Write(key, *prompt);
      if (!written.ok()) notes.push_back("the prompt was not cached: " + written.message());
    }
  }
  Remember(key, prompt);
  return prompt;
}

}  // namespace kontext
