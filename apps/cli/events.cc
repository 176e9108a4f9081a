#include "cli/events.h"

#include <cmath>
#include <cstdio>

namespace kontext::cli {

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json NumberOrNull(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }

void PrintEvent(const Json& event) {
  std::printf("%s\n", Dump(event).c_str());
  std::fflush(stdout);
}

}  // namespace kontext::cli
