#include "edit/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "dit/dit.h"
#include "edit/sizes.h"

namespace kontext {
namespace {

// The value of "MemAvailable:   123 kB" in /proc/meminfo, in bytes; -1 if it cannot be read.
int64_t MachineAvailable() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  int64_t value = 0;
  while (file >> key >> value >> unit) {
    if (key == "MemAvailable:") return value * 1024;
  }
  return -1;
}

int64_t ReadNumber(const char* path) {  // -1: unlimited, or not there
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : -1;
}

Size Half(Size s) { return FlooredTo({s.width / 2, s.height / 2}, EditLimits{}.multiple); }

}  // namespace

int64_t AvailableBytes() {
  int64_t bytes = MachineAvailable();
  if (bytes < 0) bytes = std::numeric_limits<int64_t>::max();
  const int64_t limit = ReadNumber("/sys/fs/cgroup/memory.max"),
                used = ReadNumber("/sys/fs/cgroup/memory.current");
  if (limit >= 0 && used >= 0) bytes = std::min(bytes, std::max<int64_t>(0, limit - used));
  return bytes;
}

Result<int64_t> PlanBytes(const EditPlan& plan, const Model& model, int64_t text_tokens,
                          DType activations) {
  const auto tokens = [](Size s) { return int64_t{s.width / 16} * (s.height / 16); };
  int64_t reference_tokens = 0, encode = 0;
  for (const Size& s : plan.reference_sizes) {
    reference_tokens += tokens(s);
    encode = std::max(encode, EncodeBytes(model.vae_config, s.height, s.width, activations));
  }
  const DitPlan dit{text_tokens, tokens(plan.size), reference_tokens, plan.steps};
  KX_ASSIGN_OR_RETURN(const int64_t one_run, DitRunBytes(model.dit_config, dit, activations));
  const int64_t runs = one_run * (plan.two_passes ? 2 : 1);
  const int64_t decode =
      DecodeBytes(model.vae_config, plan.size.height, plan.size.width, activations) +
      int64_t{plan.size.width} * plan.size.height * 3 * SizeOf(DType::kF32);
  return std::max(
      {encode, runs + decode});  // the run's memory is kept while the picture is decoded
}

Status CheckMemory(const EditPlan& plan, const Model& model, int64_t text_tokens, DType activations,
                   int64_t limit) {
  const int64_t have = limit > 0 ? limit : AvailableBytes();
  KX_ASSIGN_OR_RETURN(const int64_t need, PlanBytes(plan, model, text_tokens, activations));
  if (need <= have) return Status();
  EditPlan smaller = plan;
  while (smaller.size != Half(smaller.size)) {
    smaller.size = Half(smaller.size);
    KX_ASSIGN_OR_RETURN(const int64_t bytes, PlanBytes(smaller, model, text_tokens, activations));
    if (bytes > have) continue;
    return NoSpace("{}x{} needs {} MiB of memory, {} MiB may be used; --size {}x{} needs {} MiB",
                   plan.size.width, plan.size.height, need >> 20, have >> 20, smaller.size.width,
                   smaller.size.height, bytes >> 20);
  }
  return NoSpace(
      "{}x{} needs {} MiB of memory, {} MiB may be used; no smaller --size fits with references of "
      "this size",
      plan.size.width, plan.size.height, need >> 20, have >> 20);
}

}  // namespace kontext
