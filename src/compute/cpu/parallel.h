// Work over rows on the caller's OpenMP threads.
#ifndef KONTEXT_COMPUTE_CPU_PARALLEL_H_
#define KONTEXT_COMPUTE_CPU_PARALLEL_H_

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace kontext::cpu {

// Threads worth waking for `work` f32 elements read or multiply-adds done: waking one costs a few
// microseconds, in which a thread does some 10^4 of either.
inline int ThreadsFor(double work) {
  constexpr double kWorkPerThread = 16384;
  const double most = work / kWorkPerThread;
  const int threads = omp_get_max_threads();
  return most >= threads ? threads : std::max(1, static_cast<int>(most));
}

// body(begin, end) over [0, n) in equal parts. `body` must not throw.
template <class Body>
void ParallelRows(int64_t n, int64_t work_per_row, const Body& body) {
  const int threads = static_cast<int>(
      std::min<int64_t>(n, ThreadsFor(static_cast<double>(n) * static_cast<double>(work_per_row))));
  if (threads <= 1) {
    if (n > 0) body(int64_t{0}, n);
    return;
  }
  // A few parts per thread, so that a thread which lost its processor for a while holds nobody up.
  const int64_t parts = std::min<int64_t>(n, int64_t{4} * threads);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t i = 0; i < parts; ++i) body(n * i / parts, n * (i + 1) / parts);
}

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_PARALLEL_H_
