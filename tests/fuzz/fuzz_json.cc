// libFuzzer: the input is the text of a config file. It goes through the JSON reader, the field
// readers and every config reader of a model; messages stay printable.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "io/json.h"
#include "model/config.h"

namespace kontext {
namespace {

// A promise that does not hold ends the run, so that libFuzzer keeps the input.
void Require(bool holds) {
  if (!holds) std::abort();
}

template <class T>
void RequireSound(const Result<T>& result) {
  if (result.ok()) return;
  Require(result.code() == Code::kBadInput && !result.message().empty());
}

void FuzzFields(std::string_view text) {
  const Result<Json> json = ParseJson(text, "fuzz", {.max_depth = 16});
  RequireSound(json);
  Require(std::all_of(json.message().begin(), json.message().end(),
                      [](char c) { return c >= ' ' && c <= '~'; }));
  if (!json.ok() || !json->is_object()) return;
  for (const auto& [key, value] : json->items()) {
    const Result<int64_t> whole = JsonInt(*json, key, -3, 1000, "fuzz");
    RequireSound(whole);
    if (whole.ok()) Require(*whole >= -3 && *whole <= 1000);
    const Result<double> number = JsonNumber(*json, key, -3, 1000, "fuzz");
    RequireSound(number);
    if (number.ok()) Require(std::isfinite(*number) && *number >= -3 && *number <= 1000);
  }
}

// A file in memory that the config readers can open by name.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("config", MFD_CLOEXEC)) { Require(fd_ >= 0); }
  ~MemoryFile() { close(fd_); }
  std::string Holding(std::string_view text) const {
    const auto bytes = static_cast<ssize_t>(text.size());
    Require(ftruncate(fd_, 0) == 0 && pwrite(fd_, text.data(), text.size(), 0) == bytes);
    return "/proc/self/fd/" + std::to_string(fd_);
  }

 private:
  int fd_;
};

void FuzzConfigs(std::string_view text) {
  static const MemoryFile file;
  const std::string path = file.Holding(text);
  RequireSound(ReadDitConfig(path));
  RequireSound(ReadVaeConfig(path));
  RequireSound(ReadClipConfig(path));
  RequireSound(ReadT5Config(path));
  RequireSound(ReadSchedulerConfig(path));
  RequireSound(ReadModelDefaults(path));
}

}  // namespace
}  // namespace kontext

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  kontext::FuzzFields(text);
  kontext::FuzzConfigs(text);
  return 0;
}
