#include "model/verify_packed.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <utility>
#include <vector>

#include "io/checkpoint.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "model/sha256.h"
#include "weights/packed_file.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxListed = 20;

struct Task {
  const std::string* name;
  const std::string* expected;
  ByteSpan bytes;
};

// Hashes the tensors on all threads; the names of those that differ.
Result<std::vector<std::string>> Compare(const std::vector<Task>& tasks, const std::string& path,
                                         int64_t total, ConvertListener& listener) {
  std::vector<std::string> wrong;
  std::atomic<bool> stopped = false;
  Status failure;
  int64_t done = 0;
#pragma omp parallel for schedule(dynamic)
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (stopped) continue;
    Sha256 sha;
    sha.Add(tasks[i].bytes);
    const Result<std::string> got = sha.Take();
    ForgetPages(tasks[i].bytes);
#pragma omp critical(kontext_verify)
    {
      if (!got.ok()) failure = got.status();
      if (listener.Cancelled()) failure = Status(Code::kCancelled, "interrupted");
      if (!failure.ok()) stopped = true;
      if (got.ok() && *got != *tasks[i].expected) wrong.push_back(*tasks[i].name);
      done += static_cast<int64_t>(tasks[i].bytes.size());
      listener.OnProgress({fs::path(path).filename().string(), done, total, 0});
    }
  }
  if (!failure.ok()) return failure;
  std::sort(wrong.begin(), wrong.end());
  return wrong;
}

Result<VerifyReport> VerifyOne(const std::string& path, ConvertListener& listener) {
  KX_ASSIGN_OR_RETURN(const Checkpoint file, Checkpoint::Open(path));
  KX_ASSIGN_OR_RETURN(const PackedIndex index, ReadPackedIndex(file.metadata(), path));
  // Finds what is missing, superfluous or of the wrong shape.
  KX_ASSIGN_OR_RETURN(const WeightMap weights, FoldPacked(file.tensors(), file.metadata(), path));
  std::vector<Task> tasks;
  VerifyReport report;
  for (const auto& [name, entry] : index) {
    const ConstTensorView& view = file.tensors().at(name);
    const int64_t bytes = view.shape().NumElements() * SizeOf(view.dtype());
    tasks.push_back({&name, &entry.sha256, {view.data(), static_cast<size_t>(bytes)}});
    report.tensors += 1;
    report.bytes += bytes;
  }
  KX_ASSIGN_OR_RETURN(const std::vector<std::string> wrong,
                      Compare(tasks, path, report.bytes, listener));
  if (wrong.empty()) return report;
  std::string list;
  for (size_t i = 0; i < std::min(wrong.size(), kMaxListed); ++i) {
    list += (i == 0 ? "" : ", ") + Quoted(wrong[i]);
  }
  if (wrong.size() > kMaxListed) list += fmt::format(" and {} more", wrong.size() - kMaxListed);
  return BadInput(
      "{}: {} of {} tensors differ from their checksums: {}; the file is damaged, "
      "convert the original again",
      path, wrong.size(), report.tensors, list);
}

}  // namespace

Result<VerifyReport> VerifyPackedFiles(const std::string& path, ConvertListener& listener) {
  std::error_code ec;
  if (!fs::exists(fs::path(path) / "model_index.json", ec)) return VerifyOne(path, listener);
  VerifyReport all;
  for (const char* part : {"text_encoder", "text_encoder_2", "vae", "transformer"}) {
    KX_ASSIGN_OR_RETURN(const VerifyReport one,
                        VerifyOne((fs::path(path) / part).string(), listener));
    all.tensors += one.tensors;
    all.bytes += one.bytes;
  }
  return all;
}

}  // namespace kontext
