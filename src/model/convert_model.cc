#include "model/convert_model.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "io/atomic_file.h"
#include "io/mapped_file.h"
#include "io/picture.h"
#include "model/convert.h"
#include "model/convert_plan.h"
#include "weights/packed_file.h"
#include "weights/weight_file.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kMaxCopiedBytes = 64 << 20;  // of a config, tokenizer or licence
constexpr double kReportSeconds = 0.25;

struct PartFolder {
  const char* folder;
  const char* file;  // as Diffusers names it
};
constexpr PartFolder kPartFolders[] = {{"text_encoder", "model.safetensors"},
                                       {"text_encoder_2", "model.safetensors"},
                                       {"vae", "diffusion_pytorch_model.safetensors"},
                                       {"transformer", "diffusion_pytorch_model.safetensors"}};

// One weight file to convert.
struct Job {
  std::string label, in, out;
  std::unique_ptr<WeightFile> file;
  ConvertPlan plan;
  bool done = false;  // by a try before this one
};

bool HasExtension(const fs::path& path, std::initializer_list<const char*> extensions) {
  const std::string extension = path.extension().string();
  for (const char* e : extensions) {
    if (extension == e) return true;
  }
  return false;
}

// Weights, in any container; they are converted or left behind, everything else is copied.
bool IsWeights(const fs::path& path) {
  return HasExtension(path, {".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".onnx",
                             ".msgpack", ".h5", ".partial"}) ||
         path.string().ends_with(".safetensors.index.json");
}

Status CheckPlaces(const ConvertOptions& o) {
  std::error_code ec;
  if (o.out.empty()) return Usage("the name of the output is empty");
  if (!fs::exists(o.in, ec)) return BadInput("{}: no such file or folder", o.in);
  if (fs::exists(o.out, ec) && fs::equivalent(o.in, o.out, ec)) {
    return BadInput("{}: is the input, too; name another place for the output", o.out);
  }
  return {};
}

Status CheckNotPacked(const WeightFile& file, const std::string& path, Packing packing) {
  if (!IsPacked(file.metadata())) return {};
  const auto target = file.metadata().find("target");
  // 16 bits may become 8; what is in 8 already has nothing left to gain.
  if (packing == Packing::kInt8 && target != file.metadata().end() && target->second == "bf16") {
    return {};
  }
  return BadInput("{}: is packed already ({}); use it as it is, or convert the original", path,
                  target == file.metadata().end() ? "unknown" : target->second);
}

Result<Job> PrepareJob(const std::string& label, const std::string& in, const std::string& out,
                       Packing packing) {
  Job job{label, in, out, nullptr, {}, false};
  KX_ASSIGN_OR_RETURN(job.file, WeightFile::Open(in));
  KX_RETURN_IF_ERROR(CheckNotPacked(*job.file, in, packing));
  std::error_code ec;
  for (const std::string& file : job.file->files()) {
    if (fs::exists(out, ec) && fs::equivalent(file, out, ec)) {
      return BadInput("{}: is the input, too; name another place for the output", out);
    }
  }
  KX_ASSIGN_OR_RETURN(job.plan, PlanConversion(*job.file, in, packing));
  return job;
}

// Refused before the work if the disk has no room for what is still to be written.
Status CheckRoom(const std::vector<Job>& jobs) {
  int64_t needed = 0;
  std::error_code ec;
  for (const Job& job : jobs) {
    if (job.done) continue;
    const auto partial = fs::file_size(job.out + ".partial", ec);
    needed += job.plan.file_bytes();
    // What a try before this one wrote is overwritten in its place.
    if (!ec) needed -= std::min(job.plan.file_bytes(), static_cast<int64_t>(partial));
  }
  fs::path folder = fs::absolute(jobs.front().out, ec).parent_path();
  while (!folder.empty() && !fs::exists(folder, ec) && folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  const fs::space_info space = fs::space(folder, ec);
  if (ec || static_cast<int64_t>(space.available) >= needed) return {};
  return NoSpace("{}: {} bytes are needed and {} are free; free some space or name another place",
                 folder.string(), needed, space.available);
}

// Runs the jobs one after the other and tells how far all of them are.
class Conversion {
 public:
  Conversion(std::vector<Job>& jobs, ConvertListener& listener) : jobs_(jobs), listener_(listener) {
    for (const Job& job : jobs_) {
      report_.tensors += job.plan.tensors;
      report_.bytes_in += job.plan.source_bytes;
      report_.bytes_out += job.plan.file_bytes();
    }
  }

  Result<ConvertReport> Run() {
    for (const Job& job : jobs_) {
      if (job.done) {
        report_.bytes_resumed += job.plan.file_bytes();
        listener_.OnNote(fmt::format("{}: finished by an earlier run", job.out));
      } else {
        KX_RETURN_IF_ERROR(RunOne(job));
      }
      before_ += job.plan.file_bytes();
    }
    report_.seconds = Seconds(start_);
    return report_;
  }

 private:
  static double Seconds(Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  }

  Status RunOne(const Job& job) {
    first_report_ = true;
    PackWatch watch;
    watch.cancelled = [this] { return listener_.Cancelled(); };
    watch.progress = [&](int64_t done) { Report(job, done); };
    KX_ASSIGN_OR_RETURN(const int64_t resumed, WritePacked(job.plan, job.out, watch));
    if (resumed > 0) {
      report_.bytes_resumed += resumed;
      listener_.OnNote(
          fmt::format("{}: {} bytes were there from an earlier run", job.out, resumed));
    }
    return {};
  }

  void Report(const Job& job, int64_t done) {
    if (!first_report_ && Seconds(last_report_) < kReportSeconds) return;
    last_report_ = Clock::now();
    if (first_report_) {  // what was there took no time
      rated_from_ = last_report_;
      rated_from_bytes_ = before_ + done;
    }
    first_report_ = false;
    ConvertProgress p;
    p.part = job.label;
    p.bytes_done = before_ + done;
    p.bytes_total = report_.bytes_out;
    const auto written = static_cast<double>(p.bytes_done - rated_from_bytes_);
    if (written > 0) {
      p.seconds_left =
          Seconds(rated_from_) * static_cast<double>(p.bytes_total - p.bytes_done) / written;
    }
    listener_.OnProgress(p);
  }

  std::vector<Job>& jobs_;
  ConvertListener& listener_;
  ConvertReport report_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_report_ = start_;
  int64_t before_ = 0;  // bytes of the jobs behind us
  // Of the job at work: from where on its rate is counted.
  Clock::time_point rated_from_ = start_;
  int64_t rated_from_bytes_ = 0;
  bool first_report_ = true;
};

Result<ConvertReport> ConvertFile(const ConvertOptions& o, ConvertListener& listener) {
  if (!HasExtension(o.out, {".safetensors"})) {
    return Usage("{}: the output is a safetensors file; call it NAME.safetensors", o.out);
  }
  std::vector<Job> jobs;
  KX_ASSIGN_OR_RETURN(Job job,
                      PrepareJob(fs::path(o.in).filename().string(), o.in, o.out, o.packing));
  jobs.push_back(std::move(job));
  KX_RETURN_IF_ERROR(CheckRoom(jobs));
  return Conversion(jobs, listener).Run();
}

// A part that a run before this one has finished: its file says what it was made of.
bool IsDone(const Job& job) {
  std::error_code ec;
  if (!fs::exists(job.out, ec)) return false;
  const auto file = WeightFile::Open(job.out);
  if (!file.ok()) return false;
  const auto plan = (*file)->metadata().find("plan");
  return plan != (*file)->metadata().end() && plan->second == job.plan.id;
}

// Configs, tokenizers, licences: everything but weights and what begins with a dot.
Status CopyRest(const fs::path& in, const fs::path& out, int depth = 0) {
  std::error_code ec;
  fs::create_directories(out, ec);
  if (ec) return CannotWrite(out.string(), "cannot be created", ec.value());
  for (auto it = fs::directory_iterator(in, ec); !ec && it != fs::directory_iterator();
       it.increment(ec)) {
    const fs::path from = it->path(), to = out / from.filename();
    if (from.filename().string().starts_with(".") || IsWeights(from)) continue;
    if (it->is_directory(ec)) {
      if (depth < 4) KX_RETURN_IF_ERROR(CopyRest(from, to, depth + 1));
    } else if (it->is_regular_file(ec)) {
      KX_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(from.string(), kMaxCopiedBytes));
      KX_RETURN_IF_ERROR(WriteFileAtomically(to.string(), text));
    }
  }
  if (ec) return BadInput("{}: cannot be listed: {}", in.string(), ec.message());
  return {};
}

bool IsInside(const fs::path& inner, const fs::path& outer) {
  std::error_code ec;
  const fs::path a = fs::weakly_canonical(inner, ec), b = fs::weakly_canonical(outer, ec);
  const auto rest = a.lexically_relative(b);
  return !rest.empty() && *rest.begin() != "..";
}

Result<ConvertReport> ConvertDirectory(const ConvertOptions& o, ConvertListener& listener) {
  std::error_code ec;
  if (fs::exists(o.out, ec) && !(fs::is_directory(o.out, ec) && fs::is_empty(o.out, ec))) {
    return BadInput("{}: exists; name a new folder for the converted model", o.out);
  }
  if (IsInside(o.out, o.in)) {
    return BadInput("{}: lies in the input's folder; name a place outside of it", o.out);
  }
  fs::path out = o.out;
  if (!out.has_filename()) out = out.parent_path();  // "folder/"
  const fs::path work = out.string() + ".partial";
  std::vector<Job> jobs;
  for (const PartFolder& part : kPartFolders) {
    const fs::path in = fs::path(o.in) / part.folder;
    KX_ASSIGN_OR_RETURN(Job job, PrepareJob(part.folder, in.string(),
                                            (work / part.folder / part.file).string(), o.packing));
    job.done = IsDone(job);
    jobs.push_back(std::move(job));
  }
  KX_RETURN_IF_ERROR(CheckRoom(jobs));
  KX_RETURN_IF_ERROR(CopyRest(o.in, work));
  KX_ASSIGN_OR_RETURN(const ConvertReport report, Conversion(jobs, listener).Run());
  fs::rename(work, out, ec);
  if (ec) return CannotWrite(out.string(), "cannot be renamed", ec.value());
  return report;
}

}  // namespace

Result<ConvertReport> ConvertModel(const ConvertOptions& options, ConvertListener& listener) {
  KX_RETURN_IF_ERROR(CheckPlaces(options));
  std::error_code ec;
  if (fs::exists(fs::path(options.in) / "model_index.json", ec)) {
    return ConvertDirectory(options, listener);
  }
  return ConvertFile(options, listener);
}

}  // namespace kontext
