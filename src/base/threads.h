// How many threads the calls made from this thread use. There is no global pool setting: OpenMP
// keeps the number per calling thread, and oneDNN asks OpenMP.
#ifndef KONTEXT_BASE_THREADS_H_
#define KONTEXT_BASE_THREADS_H_

namespace kontext {

// The processors this process may run on: sched affinity and cgroup quota, at least 1.
int AvailableThreads();

// Sets the calling thread's OpenMP thread count for a scope; 0 means AvailableThreads().
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

}  // namespace kontext

#endif  // KONTEXT_BASE_THREADS_H_
