// RunEdit: the data's way from a request to pictures.
#ifndef KONTEXT_EDIT_EDIT_H_
#define KONTEXT_EDIT_EDIT_H_

#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "edit/prompt_cache.h"
#include "edit/step_plan.h"
#include "kontext/request.h"
#include "model/model.h"
#include "tensor/observer.h"

namespace kontext {

// Who is told what during a run; both may be null.
struct EditWatch {
  EditListener* listener = nullptr;  // progress, notes, pictures, the wish to stop
  Observer* tap = nullptr;           // every intermediate tensor by name (tests, debugging)
};

// Runs the request on the opened model. `memory_limit` in bytes, 0 for what is free; `threads` is
// only written down (the caller has set them, base/threads.h). `cache` may be null; so may
// `step_plan`, which stands in for the mode's where modes are measured (bench/mode_sweep.cc).
Result<std::vector<Edited>> RunEdit(const Model& model, Ops& ops, const EditRequest& request,
                                    int64_t memory_limit, int threads, const EditWatch& watch,
                                    PromptCache* cache = nullptr,
                                    const StepPlan* step_plan = nullptr);

}  // namespace kontext

#endif  // KONTEXT_EDIT_EDIT_H_
