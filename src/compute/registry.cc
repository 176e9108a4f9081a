#include "compute/registry.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <utility>

#include "compute/cpu/cpu.h"
#include "compute/reference/reference.h"

namespace kontext {
namespace {

struct Backend {
  const char* name;
  Result<std::unique_ptr<Ops>> (*make)(const std::string& dtype);  // dtype: "f32", "bf16" or empty
};

Result<std::unique_ptr<Ops>> MakeReference(const std::string& dtype) {
  return MakeReferenceOps(dtype == "bf16" ? DType::kBF16 : DType::kF32);
}

// Best first.
constexpr Backend kBackends[] = {
    {"cpu", MakeCpuOps},
    {"reference", MakeReference},
};

}  // namespace

std::vector<std::string> BackendNames() {
  std::vector<std::string> names;
  for (const Backend& b : kBackends) names.emplace_back(b.name);
  return names;
}

Result<std::unique_ptr<Ops>> MakeOps(const BackendOptions& options) {
  if (!options.dtype.empty() && options.dtype != "f32" && options.dtype != "bf16") {
    return Usage("dtype \"{}\" is unknown; expected bf16 or f32", options.dtype);
  }
  std::string name = options.name;
  const char* source = "backend";
  if (const char* env = std::getenv("KONTEXT_BACKEND"); name.empty() && env != nullptr) {
    name = env;
    source = "environment variable KONTEXT_BACKEND: backend";
  }
  Status refused;  // by the last backend asked
  for (const Backend& b : kBackends) {
    if (!name.empty() && name != b.name) continue;
    Result<std::unique_ptr<Ops>> ops = b.make(options.dtype);
    // What the user wrote and no backend can follow (KONTEXT_ISA) is said, not worked around.
    if (ops.ok() || !name.empty() || ops.code() == Code::kUsage) return ops;
    refused = ops.status();
  }
  if (!refused.ok()) return refused;
  return Usage("{} \"{}\" is unknown; expected {}", source, name,
               fmt::join(BackendNames(), " or "));
}

}  // namespace kontext
