// Tap: hands a named intermediate to the observer, if there is one; else it costs a comparison.
#ifndef KONTEXT_DIT_TAP_H_
#define KONTEXT_DIT_TAP_H_

#include <fmt/format.h>

#include <utility>

#include "tensor/observer.h"

namespace kontext {

class Tap {
 public:
  explicit Tap(Observer* observer) : observer_(observer) {}

  template <class... A>
  void operator()(ConstTensorView value, fmt::format_string<A...> name, A&&... args) const {
    if (observer_ != nullptr)
      observer_->OnTensor(fmt::format(name, std::forward<A>(args)...), value);
  }
  bool Cancelled() const { return observer_ != nullptr && observer_->Cancelled(); }

 private:
  Observer* observer_;
};

}  // namespace kontext

#endif  // KONTEXT_DIT_TAP_H_
