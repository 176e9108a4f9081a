#include "cli/spinning.h"

#include <unistd.h>

#include <cstdlib>

namespace kontext::cli {

void SpinLess(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  if (std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", "2000", 0) == 0) execv("/proc/self/exe", argv);
}

}  // namespace kontext::cli
