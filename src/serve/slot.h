// Slot: one of the places that a thing of which only so many may be at once has taken.
#ifndef KONTEXT_SERVE_SLOT_H_
#define KONTEXT_SERVE_SLOT_H_

#include <atomic>

namespace kontext::serve {

// Counts in `taken` for as long as it lives.
class Slot {
 public:
  explicit Slot(std::atomic<int>& taken) : taken_(taken), number_(++taken) {}
  ~Slot() { --taken_; }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  int number() const { return number_; }  // from 1: how many there were when it came

 private:
  std::atomic<int>& taken_;
  const int number_;
};

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_SLOT_H_
