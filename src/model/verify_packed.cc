#include "model/verify_packed.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <utility>
#include <vector>

#include "base/listed.h"
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

// Hashes the tensors on all threads.
class Comparison {
 public:
  Comparison(const std::vector<Task>& tasks, const std::string& path, int64_t total,
             ConvertListener& listener)
      : tasks_(tasks), path_(path), total_(total), listener_(listener) {}

  // The names of those that differ.
  Result<std::vector<std::string>> Run() {
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < tasks_.size(); ++i) One(i);
    if (threw_) return NoSpace("{}: no memory left while its checksums were compared", path_);
    if (!failure_.ok()) return failure_;
    std::sort(wrong_.begin(), wrong_.end());
    return wrong_;
  }

 private:
  // No exception may leave a parallel region: the program would end.
  void One(size_t i) {
    if (stopped_) return;
    try {
      Compare(tasks_[i]);
    } catch (...) {
      threw_ = stopped_ = true;
    }
  }

  void Compare(const Task& task) {
    Sha256 sha;
    sha.Add(task.bytes);
    const Result<std::string> got = sha.Take();
    ForgetPages(task.bytes);
    const std::lock_guard lock(mutex_);
    if (!got.ok()) failure_ = got.status();
    if (listener_.Cancelled()) failure_ = Status(Code::kCancelled, "interrupted");
    if (!failure_.ok()) stopped_ = true;
    if (got.ok() && *got != *task.expected) wrong_.push_back(*task.name);
    done_ += static_cast<int64_t>(task.bytes.size());
    listener_.OnProgress({fs::path(path_).filename().string(), done_, total_, 0});
  }

  const std::vector<Task>& tasks_;
  const std::string& path_;
  const int64_t total_;
  ConvertListener& listener_;
  std::atomic<bool> stopped_ = false, threw_ = false;
  std::mutex mutex_;  // of what follows
  std::vector<std::string> wrong_;
  Status failure_;
  int64_t done_ = 0;
};

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
                      Comparison(tasks, path, report.bytes, listener).Run());
  if (wrong.empty()) return report;
  return BadInput(
      "{}: {} of {} tensors differ from their checksums: {}; the file is damaged, "
      "convert the original again",
      path, wrong.size(), report.tensors, Listed(wrong, kMaxListed, ", ", Quoted));
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
