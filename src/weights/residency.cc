#include "weights/residency.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <system_error>
#include <utility>

#include "io/mapped_ranges.h"

namespace kontext {
namespace {

constexpr int kPopulateRead = 22;         // MADV_POPULATE_READ (Linux 5.14), which old headers lack
constexpr size_t kReadAtOnce = 4u << 20;  // bytes between two looks at whether to go on

uintptr_t PageBytes() {
  static const auto bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

uintptr_t Address(ByteSpan span) { return reinterpret_cast<uintptr_t>(span.data()); }

int64_t BytesOf(const std::vector<ByteSpan>& spans) {
  size_t sum = 0;
  for (const ByteSpan& span : spans) sum += span.size();
  return static_cast<int64_t>(sum);
}

// Only whole pages inside the span: its neighbours may be in use.
void ReleasePages(ByteSpan span) {
  const uintptr_t page = PageBytes();
  const uintptr_t begin = (Address(span) + page - 1) / page * page;
  const uintptr_t end = (Address(span) + span.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

// Brings the span's pages in and maps them, so that whoever uses them meets no fault.
void ReadPages(ByteSpan span) {
  const uintptr_t page = PageBytes();
  const uintptr_t begin = Address(span) / page * page;
  const uintptr_t end = (Address(span) + span.size() + page - 1) / page * page;
  if (madvise(reinterpret_cast<void*>(begin), end - begin, kPopulateRead) == 0) return;
  if (errno != EINVAL) return;  // a file cut short: whoever uses the page finds that out
  for (uintptr_t at = begin; at < end; at += page) {
    static_cast<void>(*reinterpret_cast<const volatile char*>(at));
  }
}

}  // namespace

void WeightSpans::Add(int section, Use use, const WeightRows& rows) {
  const auto index = static_cast<size_t>(section);
  if (index >= sections.size()) sections.resize(index + 1);
  if (use == Use::kOnce) repeated = std::max(repeated, section + 1);
  std::vector<ByteSpan> touched;
  rows.Touches(touched);
  std::erase_if(touched, [](const ByteSpan& span) { return !IsMapped(span); });
  sections[index].insert(sections[index].end(), touched.begin(), touched.end());
}

int64_t WeightSpans::LargestBytes() const {
  int64_t largest = 0;
  for (const auto& section : sections) largest = std::max(largest, BytesOf(section));
  return largest;
}

int64_t WeightSpans::RepeatedBytes() const {
  int64_t sum = 0;
  for (size_t i = static_cast<size_t>(repeated); i < sections.size(); ++i) {
    sum += BytesOf(sections[i]);
  }
  return sum;
}

void WeightSpans::Release() const {
  for (const auto& section : sections) {
    for (const ByteSpan& span : section) ReleasePages(span);
  }
}

// The thread that reads a section while another one is worked on.
class Residency::Reader {
 public:
  // (A std::thread may end the program, which nothing in the library does.)
  static Result<std::unique_ptr<Reader>> Start(const WeightSpans& spans) {
    std::unique_ptr<Reader> reader(new Reader(spans));
    const int error = pthread_create(&reader->thread_, nullptr, &Main, reader.get());
    if (error != 0) {
      return NoSpace("no thread to read weights with: {}", std::generic_category().message(error));
    }
    reader->started_ = true;
    return reader;
  }
  ~Reader() {
    if (!started_) return;
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wake_.notify_one();
    pthread_join(thread_, nullptr);
  }

  // Reads `section` next, and gives up what it is reading unless that is `used`.
  void Ask(int section, int used) {
    {
      const std::lock_guard lock(mutex_);
      wanted_ = section;
      used_ = used;
    }
    wake_.notify_one();
  }
  // On return no more of `section`, which is no longer asked for, is being read.
  void WaitUntilGivenUp(int section) {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return reading_ != section; });
  }
  // Gives up what is asked for; on return nothing is being read.
  void Rest() {
    std::unique_lock lock(mutex_);
    wanted_ = used_ = -1;
    resting_ = true;
    idle_.wait(lock, [this] { return reading_ < 0; });
    resting_ = false;
  }

 private:
  explicit Reader(const WeightSpans& spans) : spans_(spans) {}
  static void* Main(void* reader) {
    static_cast<Reader*>(reader)->Work();
    return nullptr;
  }

  void Work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return ended_ || wanted_ >= 0; });
      if (ended_) return;
      const int section = std::exchange(wanted_, -1);
      reading_ = section;
      lock.unlock();
      Read(section);
      lock.lock();
      reading_ = -1;
      idle_.notify_one();
    }
  }

  // Whether `section`, which is being read, is still worth it.
  bool GoOn(int section) {
    const std::lock_guard lock(mutex_);
    if (ended_ || resting_) return false;
    return wanted_ < 0 || wanted_ == section || used_ == section;
  }

  void Read(int section) {
    const auto& spans = spans_.sections[static_cast<size_t>(section)];
    for (const ByteSpan& span : spans) {
      const uintptr_t begin = Address(span) / PageBytes() * PageBytes();
      // The whole span is asked of the disk at once, and then waited for piece by piece.
      madvise(reinterpret_cast<void*>(begin), Address(span) - begin + span.size(), MADV_WILLNEED);
    }
    for (const ByteSpan& span : spans) {
      for (size_t at = 0; at < span.size(); at += kReadAtOnce) {
        const ByteSpan piece = span.subspan(at, std::min(kReadAtOnce, span.size() - at));
        if (!GoOn(section)) return;
        ReadPages(piece);
        if (!GoOn(section)) return ReleasePages(piece);  // it was let go while this came in
      }
    }
  }

  const WeightSpans& spans_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  int wanted_ = -1, reading_ = -1, used_ = -1;
  bool ended_ = false, resting_ = false;
  bool started_ = false;
  pthread_t thread_{};
};

Residency::Residency(WeightSpans spans) : spans_(std::move(spans)) {
  for (auto& section : spans_.sections) {
    std::sort(section.begin(), section.end(),
              [](const ByteSpan& a, const ByteSpan& b) { return a.data() < b.data(); });
    std::vector<ByteSpan> joined;
    for (const ByteSpan& span : section) {
      if (!joined.empty() && joined.back().data() + joined.back().size() == span.data()) {
        joined.back() = {joined.back().data(), joined.back().size() + span.size()};
      } else {
        joined.push_back(span);
      }
    }
    section = std::move(joined);
  }
}

Residency::~Residency() = default;

Result<std::unique_ptr<Residency>> Residency::Create(WeightSpans spans) {
  std::unique_ptr<Residency> r(new Residency(std::move(spans)));
  KX_RETURN_IF_ERROR(r->SetBudget(std::numeric_limits<int64_t>::max()));
  KX_ASSIGN_OR_RETURN(r->reader_, Reader::Start(r->spans_));
  return r;
}

Status Residency::SetBudget(int64_t bytes) {
  const int64_t largest = spans_.LargestBytes();
  if (bytes < largest) {
    return NoSpace("{} MiB are left for weights, the largest block of them needs {} MiB",
                   std::max<int64_t>(0, bytes) >> 20, (largest + (1 << 20) - 1) >> 20);
  }
  const auto count = static_cast<int>(spans_.sections.size());
  read_ahead_ = bytes >= 2 * largest;
  kept_ = count;
  if (spans_.RepeatedBytes() <= bytes) return Status();
  // A fixed part stays: of what is used in turn, the least recently used is what is needed next.
  int64_t room = bytes - 2 * largest;
  kept_ = spans_.repeated;
  while (kept_ < count) {
    room -= BytesOf(spans_.sections[static_cast<size_t>(kept_)]);
    if (room < 0) break;
    ++kept_;
  }
  return Status();
}

int Residency::After(int section) const {
  return section + 1 < std::ssize(spans_.sections) ? section + 1 : spans_.repeated;
}

void Residency::Enter(int section) {
  if (section < 0 || section >= std::ssize(spans_.sections) || section == current_) return;
  const int left = std::exchange(current_, section);
  const int next = After(section);
  if (read_ahead_ && next < std::ssize(spans_.sections)) reader_->Ask(next, section);
  if (left != next) LetGo(left);
}

void Residency::Leave() {
  const int left = std::exchange(current_, -1);
  reader_->Rest();
  LetGo(left);
  if (left >= 0) LetGo(After(left));  // as much of it as was read ahead
}

void Residency::LetGo(int section) {
  if (section < 0 || section >= std::ssize(spans_.sections) || IsKept(section)) return;
  reader_->WaitUntilGivenUp(section);  // or its last piece would come in after it was let go
  for (const ByteSpan& span : spans_.sections[static_cast<size_t>(section)]) ReleasePages(span);
}

}  // namespace kontext
