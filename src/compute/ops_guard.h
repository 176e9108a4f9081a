// Where exceptions of the libraries below us end: oneDNN throws dnnl::error, containers
// std::bad_alloc.
#ifndef KONTEXT_COMPUTE_OPS_GUARD_H_
#define KONTEXT_COMPUTE_OPS_GUARD_H_

#include <exception>
#include <new>
#include <string_view>

#include "base/status.h"

namespace kontext {

// What `body` returns, or the Status of what it throws.
template <class Body>
auto WithoutExceptions(std::string_view op, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return NoSpace("{}: not enough memory; try a smaller --size", op);
  } catch (const std::exception& e) {
    return Internal("{}: {}", op, e.what());
  } catch (...) {
    return Internal("{}: an exception of unknown type", op);
  }
}

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_OPS_GUARD_H_
