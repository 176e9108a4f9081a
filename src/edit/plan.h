// The request, checked and with every default filled in; made before any work.
#ifndef KONTEXT_EDIT_PLAN_H_
#define KONTEXT_EDIT_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "edit/likes.h"
#include "edit/step_plan.h"
#include "kontext/request.h"
#include "model/config.h"

namespace kontext {

struct EditPlan {
  const LikeProfile* like = nullptr;
  int steps = 0;
  StepPlan step_plan;  // one entry a step
  float guidance = 0;
  bool two_passes =
      false;          // true CFG: a negative prompt and a scale above 1 (Diffusers; pitfalls 45)
  uint64_t seed = 0;  // of the first picture
  Size size;          // of the output, pixels
  std::vector<Size> reference_sizes;
  std::vector<std::string> notes;
};

inline constexpr int kLatentChannels = 16;  // z of every FLUX.1 autoencoder
// Whether reference i comes as latents.
bool HasLatents(const EditRequest& request, size_t i);

// In which precision a mode runs the products that may be coarse; docs/modes.md.
Precision PrecisionOf(Mode mode);

// kUsage, with a size that would do, unless an output may have this one.
Status CheckSize(Size size, const EditLimits& limits);

// kUsage with the field, its bound and what was given.
Result<EditPlan> PlanEdit(const EditRequest& request, const ModelDefaults& model,
                          const EditLimits& limits);

}  // namespace kontext

#endif  // KONTEXT_EDIT_PLAN_H_
