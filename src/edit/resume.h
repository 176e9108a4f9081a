// Going on from a ResumePoint: is it one of this request, and its latents back into the tokens.
#ifndef KONTEXT_EDIT_RESUME_H_
#define KONTEXT_EDIT_RESUME_H_

#include "base/status.h"
#include "edit/plan.h"
#include "kontext/request.h"
#include "tensor/view.h"

namespace kontext {

// Where a run begins: a picture of the request, and the steps of it that are done.
struct Start {
  int picture = 0;
  int step = 0;
};

// {0, 0} without a checkpoint; kUsage for one that is not of this request.
Result<Start> CheckResume(const EditRequest& request, const EditPlan& plan);

// The checkpoint's latents -> x [Ti, 64] F32; kUsage if they are of another size or not finite.
Status RestoreLatents(const ResumePoint& checkpoint, TensorView x);

}  // namespace kontext

#endif  // KONTEXT_EDIT_RESUME_H_
