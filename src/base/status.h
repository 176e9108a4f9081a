// Short ways to make and to pass on a Status. The types themselves are public: kontext/status.h.
#ifndef KONTEXT_BASE_STATUS_H_
#define KONTEXT_BASE_STATUS_H_

#include <fmt/format.h>

#include <utility>

#include "kontext/status.h"

namespace kontext {

template <class... A>
Status Internal(fmt::format_string<A...> format, A&&... args) {
  return Status(Code::kInternal, fmt::format(format, std::forward<A>(args)...));
}
template <class... A>
Status Usage(fmt::format_string<A...> format, A&&... args) {
  return Status(Code::kUsage, fmt::format(format, std::forward<A>(args)...));
}
template <class... A>
Status BadInput(fmt::format_string<A...> format, A&&... args) {
  return Status(Code::kBadInput, fmt::format(format, std::forward<A>(args)...));
}
template <class... A>
Status NoSpace(fmt::format_string<A...> format, A&&... args) {
  return Status(Code::kNoSpace, fmt::format(format, std::forward<A>(args)...));
}

}  // namespace kontext

#define KX_CONCAT_INNER(a, b) a##b
#define KX_CONCAT(a, b) KX_CONCAT_INNER(a, b)

// Returns the Status of `expr` to the caller unless it is ok.
#define KX_RETURN_IF_ERROR(expr)           \
  do {                                     \
    ::kontext::Status kx_status = (expr);  \
    if (!kx_status.ok()) return kx_status; \
  } while (false)

// KX_ASSIGN_OR_RETURN(const File file, OpenFile(path)): the value, or the Status to the caller.
#define KX_ASSIGN_OR_RETURN(lhs, expr) \
  KX_ASSIGN_OR_RETURN_INNER(KX_CONCAT(kx_result_, __LINE__), lhs, expr)
#define KX_ASSIGN_OR_RETURN_INNER(result, lhs, expr) \
  auto result = (expr);                              \
  if (!result.ok()) return result.status();          \
  lhs = std::move(*result)

// A condition that only a mistake of ours can break: an error value to the caller, never an abort.
#define KX_ENSURE(condition)                                                                 \
  do {                                                                                       \
    if (!(condition))                                                                        \
      return ::kontext::Internal("{}:{}: {} does not hold", __FILE__, __LINE__, #condition); \
  } while (false)

#endif  // KONTEXT_BASE_STATUS_H_
