#include "base/threads.h"

#include <gtest/gtest.h>
#include <omp.h>
#include <sched.h>

#include <thread>

namespace kontext {
namespace {

// How many threads a parallel region of the calling thread really gets.
int TeamSize() {
  int size = 0;
#pragma omp parallel
#pragma omp single
  size = omp_get_num_threads();
  return size;
}

TEST(Threads, AvailableAreAtLeastOneAndAtMostTheAffinity) {
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  EXPECT_GE(AvailableThreads(), 1);
  EXPECT_LE(AvailableThreads(), CPU_COUNT(&set));
}

TEST(Threads, AScopeSetsAndRestores) {
  omp_set_dynamic(0);
  const int before = omp_get_max_threads();
  {
    ThreadScope three(3);
    EXPECT_EQ(omp_get_max_threads(), 3);
    EXPECT_EQ(TeamSize(), 3);
    {
      ThreadScope one(1);
      EXPECT_EQ(TeamSize(), 1);
    }
    EXPECT_EQ(TeamSize(), 3);
  }
  EXPECT_EQ(omp_get_max_threads(), before);
  ThreadScope all(0);
  EXPECT_EQ(omp_get_max_threads(), AvailableThreads());
}

// The number belongs to the thread that set it: two edits may run with different ones.
TEST(Threads, AScopeIsTheCallingThreadsOwn) {
  ThreadScope two(2);
  int other = 0;
  std::thread([&] {
    ThreadScope one(1);
    other = omp_get_max_threads();
  }).join();
  EXPECT_EQ(other, 1);
  EXPECT_EQ(omp_get_max_threads(), 2);
}

}  // namespace
}  // namespace kontext
