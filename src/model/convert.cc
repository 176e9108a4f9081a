#include "model/convert.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <utility>
#include <vector>

#include "io/json.h"
#include "io/mapped_file.h"
#include "io/mapped_ranges.h"
#include "io/resumable_file.h"
#include "model/encode_item.h"
#include "model/sha256.h"
#include "tensor/arena.h"

namespace kontext {
namespace {

using Kind = PackedItem::Kind;

constexpr int64_t kBatchBytes = 16 << 20;  // encoded by all threads while the last batch is written
constexpr char kJournalFormat[] = "kontext convert 1 ";

// Stripes of one item that are encoded and written together.
struct Batch {
  int64_t first = 0, end = 0;
};

class Packer {
 public:
  Packer(const ConvertPlan& plan, const std::string& path, ResumableFile& file,
         const PackWatch& watch)
      : plan_(plan), path_(path), file_(file), watch_(watch) {}

  Result<int64_t> Run() {
    KX_ASSIGN_OR_RETURN(const size_t first, Resume());
    KX_RETURN_IF_ERROR(Allocate());
    const int64_t resumed = done_;
    for (size_t i = first; i < plan_.items.size(); ++i) {
      const PackedItem& item = plan_.items[i];
      if (watch_.cancelled()) return Cancel();
      const Status status = Write(item);
      if (status.code() == Code::kCancelled) return Cancel();
      KX_RETURN_IF_ERROR(status);
      if (i + 1 == plan_.items.size() || plan_.items[i + 1].unit != item.unit) {
        KX_RETURN_IF_ERROR(file_.Checkpoint(std::exchange(lines_, {})));
      }
    }
    KX_RETURN_IF_ERROR(CheckUnchanged(plan_.files));
    const std::string header = PackedHeader(plan_, index_);
    KX_ENSURE(static_cast<int64_t>(header.size()) == plan_.header_bytes);
    KX_RETURN_IF_ERROR(file_.WriteAt(0, std::as_bytes(std::span(header))));
    KX_RETURN_IF_ERROR(file_.Commit(plan_.file_bytes()));
    return resumed;
  }

 private:
  // Takes the checksums of whole units over from the journal: "SHA256 NAME", in the order of the
  // plan. Returns the first item that is still to do.
  Result<size_t> Resume() {
    size_t item = 0, unit_begin = 0;
    for (const std::string& line : file_.recovered()) {
      const size_t space = line.find(' ');
      if (item == plan_.items.size() || space != 64 ||
          line.substr(space + 1) != plan_.items[item].name) {
        return BadInput(
            "{0}.partial.journal: is damaged at {1}; delete {0}.partial and its journal", path_,
            Quoted(line));
      }
      Note(plan_.items[item], line.substr(0, space));
      ++item;
      if (item == plan_.items.size() || plan_.items[item].unit != plan_.items[item - 1].unit) {
        unit_begin = item;
      }
    }
    lines_.clear();
    done_ = unit_begin == plan_.items.size() ? plan_.data_bytes : plan_.items[unit_begin].offset;
    KX_ENSURE(unit_begin == item);  // a unit's lines are written together
    return unit_begin;
  }

  Result<int64_t> Cancel() const {
    return Status(Code::kCancelled,
                  fmt::format("interrupted; the same command goes on from {}.partial", path_));
  }

  // Two batches' buffers, and a stripe of floats for every thread.
  Status Allocate() {
    int64_t batch = 0, floats = 0;
    for (const PackedItem& item : plan_.items) {
      if (item.kind != Kind::kPlain && item.kind != Kind::kInt8) continue;
      batch = std::max(batch, BatchStripes(item) * StripeBytes(item));
      floats = std::max(floats, StripeFloats(item));
    }
    for (Buffer& buffer : buffers_) {
      KX_ASSIGN_OR_RETURN(buffer, Buffer::Allocate(std::max(batch, int64_t{1})));
    }
    for (int i = 0; i < omp_get_max_threads(); ++i) {
      KX_ASSIGN_OR_RETURN(Buffer scratch, Buffer::Allocate(std::max(floats, int64_t{1}) * 4));
      scratch_.push_back(std::move(scratch));
    }
    return {};
  }

  static int64_t BatchStripes(const PackedItem& item) {
    return std::clamp(kBatchBytes / std::max(StripeBytes(item), int64_t{1}), int64_t{1},
                      StripesOf(item));
  }

  Status Write(const PackedItem& item) {
    switch (item.kind) {
      case Kind::kPadding: {
        const std::array<std::byte, 4096> zeros{};
        KX_RETURN_IF_ERROR(
            Put(item.offset, std::span(zeros).first(static_cast<size_t>(item.bytes))));
        break;
      }
      case Kind::kScale:
        KX_RETURN_IF_ERROR(Put(item.offset, std::as_bytes(std::span(vectors_.scale))));
        break;
      case Kind::kSums:
        KX_RETURN_IF_ERROR(Put(item.offset, std::as_bytes(std::span(vectors_.sums))));
        break;
      default:
        KX_RETURN_IF_ERROR(Encode(item));
        Forget(item);
    }
    KX_ASSIGN_OR_RETURN(const std::string sha256, sha256_.Take());
    Note(item, sha256);
    return {};
  }

  // Encodes batch i while batch i - 1 is hashed and written.
  Status Encode(const PackedItem& item) {
    if (item.kind == Kind::kInt8) {
      vectors_.scale.resize(static_cast<size_t>(item.rows));
      vectors_.sums.resize(static_cast<size_t>(item.rows));
    }
    const int64_t stripes = StripesOf(item), step = BatchStripes(item);
    const int64_t stripe_bytes = StripeBytes(item);
    // Every thread walks through all batches, so that the barriers match; after a failure they do
    // so with nothing to do.
#pragma omp parallel
    for (int64_t first = 0; first < stripes + step; first += step) {
      Buffer& buffer = buffers_[static_cast<size_t>(first / step % 2)];
      Buffer& written = buffers_[static_cast<size_t>((first / step + 1) % 2)];
      const int64_t end = std::min(first + step, stripes);
#pragma omp single nowait
      if (first > 0 && !stopped_) {
        const int64_t begin = (first - step) * stripe_bytes;
        const int64_t bytes = std::min(step * stripe_bytes, item.bytes - begin);
        Keep(Put(item.offset + begin, {written.data(), static_cast<size_t>(bytes)}));
      }
#pragma omp for schedule(dynamic)
      for (int64_t s = first; s < end; ++s) {
        if (stopped_) continue;
        auto* scratch =
            reinterpret_cast<float*>(scratch_[static_cast<size_t>(omp_get_thread_num())].data());
        const Status status =
            EncodeStripe(item, s, scratch, vectors_, buffer.data() + (s - first) * stripe_bytes);
        if (!status.ok()) Keep(BadInput("{}: {}", plan_.source, status.message()));
      }
    }
    return std::exchange(failure_, {});
  }

  void Keep(Status status) {
    if (status.ok()) return;
    stopped_ = true;
#pragma omp critical(kontext_packer)
    if (failure_.ok()) failure_ = std::move(status);
  }

  // Called by one thread at a time.
  Status Put(int64_t offset, ByteSpan bytes) {
    if (watch_.cancelled()) return Status(Code::kCancelled, "");
    sha256_.Add(bytes);
    KX_RETURN_IF_ERROR(file_.WriteAt(plan_.header_bytes + offset, bytes));
    done_ += static_cast<int64_t>(bytes.size());
    watch_.progress(done_);
    return {};
  }

  void Note(const PackedItem& item, const std::string& sha256) {
    if (item.kind != Kind::kPadding) index_[item.name] = EntryFor(item, sha256);
    lines_.push_back(sha256 + " " + item.name);
  }

  static void Forget(const PackedItem& item) {
    std::vector<ByteSpan> spans;
    for (const WeightRows& piece : item.source) piece.Touches(spans);
    for (const ByteSpan& span : spans) ForgetPages(span);
  }

  const ConvertPlan& plan_;
  const std::string& path_;
  ResumableFile& file_;
  const PackWatch& watch_;
  PackedIndex index_;
  std::vector<std::string> lines_;  // of the unit at work
  Int8Vectors vectors_;             // of the int8 matrix written last
  Sha256 sha256_;
  int64_t done_ = 0;
  std::array<Buffer, 2> buffers_;
  std::vector<Buffer> scratch_;
  std::atomic<bool> stopped_ = false;
  Status failure_;
};

}  // namespace

Result<int64_t> WritePacked(const ConvertPlan& plan, const std::string& path,
                            const PackWatch& watch) {
  KX_ASSIGN_OR_RETURN(ResumableFile file, ResumableFile::Open(path, kJournalFormat + plan.id));
  return Packer(plan, path, file, watch).Run();
}

}  // namespace kontext
