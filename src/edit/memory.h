// How much memory an edit takes, and how much it may: refused before the work, not during it.
//
// Counted is what only swap could free: activations, the backend's workspace, pictures, text
// embeddings. Weights stay in their mapped files, whose pages the system may drop and read again;
// they get what is left (docs/memory.md).
#ifndef KONTEXT_EDIT_MEMORY_H_
#define KONTEXT_EDIT_MEMORY_H_

#include <cstdint>

#include "edit/plan.h"
#include "model/model.h"

namespace kontext {

// The sizes of a model's networks.
struct NetworkConfigs {
  const ClipConfig& clip;
  const T5Config& t5;
  const VaeConfig& vae;
  const DitConfig& dit;
};
NetworkConfigs ConfigsOf(const Model& model);

// What of a request decides its memory, beside the plan.
struct MemoryRequest {
  int64_t text_tokens = 512;    // Tt
  int64_t negative_tokens = 0;  // of the second pass
  int pictures = 1;
  bool previews = false;
  int64_t masked_pixels = 0;  // of the picture that a mask keeps parts of; 0 without a mask
};

// Bytes that are alive at once in each stage of an edit, the workspace apart.
struct MemoryPlan {
  int64_t prompt = 0, references = 0, steps = 0, decode = 0;
  int64_t workspace = 0;  // of the backend; grows to its largest and stays
  int64_t peak() const;
};
Result<MemoryPlan> PlanMemory(const EditPlan& plan, const NetworkConfigs& configs,
                              const MemoryRequest& request, const Ops& ops);

// Refuses with kNoSpace, the bytes needed and the setting that would fit, if the process would hold
// more anonymous and pinned memory than `limit` (0: than is free) or no room would be left for the
// largest block of weights; else holds the model's mapped weights to that room.
Status ReserveMemory(const EditPlan& plan, const Model& model, const MemoryRequest& request,
                     const Ops& ops, int64_t limit);

}  // namespace kontext

#endif  // KONTEXT_EDIT_MEMORY_H_
