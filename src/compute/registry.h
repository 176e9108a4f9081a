// Which backends there are, and how one is chosen.
#ifndef KONTEXT_COMPUTE_REGISTRY_H_
#define KONTEXT_COMPUTE_REGISTRY_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"

namespace kontext {

struct BackendOptions {
  // "cpu", "reference", or empty: the environment's KONTEXT_BACKEND, else the first that runs here.
  std::string name;
  // "bf16", "f32", or empty: bf16 where the processor multiplies it natively, f32 elsewhere.
  std::string dtype;
};

// The names of all backends, best first.
std::vector<std::string> BackendNames();

// An unknown name or dtype is Code::kUsage and lists the known ones.
Result<std::unique_ptr<Ops>> MakeOps(const BackendOptions& options);

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REGISTRY_H_
