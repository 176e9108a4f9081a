#include "edit/resume.h"

#include <algorithm>

#include "edit/finite.h"

namespace kontext {

Result<Start> CheckResume(const EditRequest& request, const EditPlan& plan) {
  if (!request.resume) return Start{};
  const ResumePoint& at = *request.resume;
  if (!request.seed)
    return Usage("resume: the request has no seed; its checkpoint was made with one");
  if (at.picture < 0 || at.picture >= request.count || at.step < 0 || at.step > plan.steps) {
    return Usage("resume: picture {} step {} is outside of the request's {} pictures of {} steps",
                 at.picture, at.step, request.count, plan.steps);
  }
  if (at.step > 0 && at.step < plan.steps && Forecasts(plan.step_plan)) {
    return Usage("resume: mode {} forecasts from earlier steps, which a checkpoint does not have",
                 NameOf(request.mode));
  }
  return Start{at.picture, at.step};
}

Status RestoreLatents(const ResumePoint& checkpoint, TensorView x) {
  if (std::ssize(checkpoint.latents) != x.shape().NumElements()) {
    return Usage("resume: the checkpoint has {} latents, this request has {}",
                 checkpoint.latents.size(), x.shape().NumElements());
  }
  std::copy(checkpoint.latents.begin(), checkpoint.latents.end(), x.As<float>());
  if (!AllFinite(x)) return Usage("resume: the checkpoint holds NaN or infinity");
  return Status();
}

}  // namespace kontext
