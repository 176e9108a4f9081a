#include "base/process_memory.h"

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>

namespace kontext {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// The value of a line "KEY:   123 kB" in bytes; -1 if there is none.
int64_t KibibytesOf(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::istringstream rest(line.substr(key.size() + 1));
    int64_t value = 0;
    if (rest >> value) return value * 1024;
  }
  return -1;
}

int64_t ReadNumber(const std::string& path) {  // -1: "max", or not there
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : -1;
}

// The pages of files in a group's memory.stat, which are dropped before the limit is felt.
int64_t FilePages(const std::string& path) {
  std::ifstream file(path);
  std::string key;
  int64_t value = 0, sum = 0;
  while (file >> key >> value) {
    if (key == "inactive_file" || key == "active_file") sum += value;
  }
  return sum;
}

// The least room from `group` up to the root of the hierarchy mounted at `root`.
int64_t RoomUpwards(const std::string& root, std::string group, const char* limit_name,
                    const char* usage_name) {
  int64_t room = kNoLimit;
  while (true) {
    const std::string folder = root + group + "/";
    const int64_t limit = ReadNumber(folder + limit_name), used = ReadNumber(folder + usage_name);
    if (limit >= 0 && used >= 0) {
      const int64_t held = std::max<int64_t>(0, used - FilePages(folder + "memory.stat"));
      room = std::min(room, std::max<int64_t>(0, limit - held));
    }
    const size_t slash = group.find_last_of('/');
    if (slash == std::string::npos || group.empty()) return room;
    group.resize(slash);
  }
}

// Whether `word` is one of the words of "cpu,memory".
bool Lists(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const size_t comma = std::min(words.find(','), words.size());
    if (words.substr(0, comma) == word) return true;
    words.remove_prefix(std::min(comma + 1, words.size()));
  }
  return false;
}

}  // namespace

ProcessMemory MemoryOfProcess() {
  const auto read = [](const char* key) {
    return std::max<int64_t>(0, KibibytesOf("/proc/self/status", key));
  };
  return {read("RssAnon"), read("RssFile"), read("VmLck")};
}

void BoundFreedMemory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
#endif
}

void ReleaseFreedMemory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

int64_t RoomInControlGroups(const std::string& membership, const std::string& mount) {
  int64_t room = kNoLimit;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {  // "4:cpu,memory:/group", v2 "0::/group"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view controllers =
        std::string_view(line).substr(first + 1, second - first - 1);
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (controllers.empty()) {
      for (const char* root : {"", "/unified"}) {
        room = std::min(room, RoomUpwards(mount + root, group, "memory.max", "memory.current"));
      }
    } else if (Lists(controllers, "memory")) {
      room = std::min(room, RoomUpwards(mount + "/memory", group, "memory.limit_in_bytes",
                                        "memory.usage_in_bytes"));
    }
  }
  return room;
}

int64_t AvailableBytes() {
  const int64_t machine = KibibytesOf("/proc/meminfo", "MemAvailable");
  std::ifstream file("/proc/self/cgroup");
  std::stringstream membership;
  membership << file.rdbuf();
  return std::min(machine < 0 ? kNoLimit : machine,
                  RoomInControlGroups(membership.str(), "/sys/fs/cgroup"));
}

}  // namespace kontext
