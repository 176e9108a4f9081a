// How much memory an edit will allocate, and how much there is: refused before the work, not during
// it.
#ifndef KONTEXT_EDIT_MEMORY_H_
#define KONTEXT_EDIT_MEMORY_H_

#include <cstdint>

#include "base/status.h"
#include "edit/plan.h"
#include "model/model.h"

namespace kontext {

// Bytes that the largest stage of the plan allocates. Mapped weights are not counted: the system
// may drop and reread them.
Result<int64_t> PlanBytes(const EditPlan& plan, const Model& model, int64_t text_tokens,
                          DType activations);

// Free memory of the machine or of this process's cgroup, whichever is less, in bytes.
int64_t AvailableBytes();

// kNoSpace with the bytes needed and a --size that would fit, if PlanBytes is above `limit` (0:
// what is free).
Status CheckMemory(const EditPlan& plan, const Model& model, int64_t text_tokens, DType activations,
                   int64_t limit);

}  // namespace kontext

#endif  // KONTEXT_EDIT_MEMORY_H_
