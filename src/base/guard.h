// The public boundary: whatever a library below us throws becomes a Status here.
#ifndef KONTEXT_BASE_GUARD_H_
#define KONTEXT_BASE_GUARD_H_

#include <exception>
#include <new>

#include "base/status.h"

namespace kontext {

template <class F>
auto Guard(const F& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return NoSpace("not enough memory; try a smaller --size");
  } catch (const std::exception& e) {
    return Internal("a library failed: {}", e.what());
  }
}

}  // namespace kontext

#endif  // KONTEXT_BASE_GUARD_H_
