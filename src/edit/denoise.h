// The one Euler loop: noise -> target latents.
#ifndef KONTEXT_EDIT_DENOISE_H_
#define KONTEXT_EDIT_DENOISE_H_

#include <functional>
#include <vector>

#include "base/status.h"
#include "dit/dit.h"
#include "edit/step_plan.h"
#include "tensor/view.h"

namespace kontext {

// What a finished step tells.
struct StepDone {
  int step = 0;              // from 0
  double seconds = 0;        // it took
  float sigma = 0;           // the noise level now
  ConstTensorView x;         // [Ti, 64] at that level
  ConstTensorView velocity;  // [Ti, 64] that led there
};

struct DenoiseInputs {
  DitRun* run = nullptr;
  DitRun* negative = nullptr;  // true CFG only
  float true_cfg = 1.0f;
  std::vector<float> sigmas;  // steps + 1, the last 0
  StepPlan plan;              // how each step gets its velocity
  int first_step = 0;         // above 0: the tokens are a checkpoint's, after that many steps
  // After each step, with the noise level it led to: may put x [Ti, 64] right (a mask does).
  std::function<void(float sigma, TensorView x)> hold = nullptr;
};

// tokens [Ti + Tr, 64] F32: noise in the first Ti rows, clean references in the rest. After the
// call the first Ti rows are the target's latents; the references are as they were. NaN or infinity
// in a velocity is an error that names the step.
Status Denoise(const DenoiseInputs& in, TensorView tokens, int64_t target_tokens,
               const std::function<void(const StepDone&)>& step_done);

}  // namespace kontext

#endif  // KONTEXT_EDIT_DENOISE_H_
