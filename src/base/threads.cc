#include "base/threads.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

namespace kontext {
namespace {

// cgroup v2: "max 100000" or "200000 100000" (quota and period in microseconds). 0 when unlimited.
int CgroupProcessors() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  double value = 0;
  for (char c : quota) {
    if (c < '0' || c > '9') return 0;
    value = value * 10 + (c - '0');
  }
  return std::max(1, static_cast<int>(std::lround(value / period)));
}

}  // namespace

int AvailableThreads() {
  int n = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) n = CPU_COUNT(&set);
  if (const int quota = CgroupProcessors(); quota > 0) n = std::min(n, quota);
  return std::max(1, n);
}

ThreadScope::ThreadScope(int threads) : before_(omp_get_max_threads()) {
  omp_set_num_threads(threads > 0 ? threads : AvailableThreads());
}

ThreadScope::~ThreadScope() { omp_set_num_threads(before_); }

}  // namespace kontext
