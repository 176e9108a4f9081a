// Residency: which weights of a network lie in memory while it runs. The weights stay in their
// mapped file; a network names the section it is about to use, the next one is read meanwhile by a
// thread of its own, and what does not fit is let go behind it. Where all fits, nothing is let go.
#ifndef KONTEXT_WEIGHTS_RESIDENCY_H_
#define KONTEXT_WEIGHTS_RESIDENCY_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "weights/table.h"

namespace kontext {

// The bytes of mapped files that a network's sections read: sections in the order of use, of which
// those from `repeated` on are used again and again.
struct WeightSpans {
  std::vector<std::vector<ByteSpan>> sections;
  int repeated = 0;

  // Notes what `rows` touch, if that is in a mapped file. kOnce sections come before the others.
  void Add(int section, Use use, const WeightRows& rows);
  int64_t LargestBytes() const;   // of a section
  int64_t RepeatedBytes() const;  // of all repeated ones together
  // Takes the pages of all sections out of this process's memory; they are read again when used.
  void Release() const;
};

class Residency : public SectionWatch {
 public:
  static Result<std::unique_ptr<Residency>> Create(WeightSpans spans);
  ~Residency() override;

  const WeightSpans& spans() const { return spans_; }
  // Holds the sections' pages to `bytes` from the next Enter() on. kNoSpace if a single section
  // needs more.
  Status SetBudget(int64_t bytes);
  // Whether the repeated sections fit the budget, so that each is read once.
  bool AllFit() const { return kept_ == static_cast<int>(spans_.sections.size()); }

  void Enter(int section) override;
  void Leave() override;

 private:
  class Reader;

  explicit Residency(WeightSpans spans);
  bool IsKept(int section) const { return section >= spans_.repeated && section < kept_; }
  int After(int section) const;
  void LetGo(int section);  // its pages, unless it is kept or none

  WeightSpans spans_;
  int kept_ = 0;            // repeated sections before this one stay
  bool read_ahead_ = true;  // two neighbours fit
  int current_ = -1;
  std::unique_ptr<Reader> reader_;
};

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_RESIDENCY_H_
