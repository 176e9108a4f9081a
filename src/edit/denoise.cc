#include "edit/denoise.h"

#include <chrono>

#include "edit/finite.h"
#include "edit/velocity_history.h"
#include "tensor/arena.h"

namespace kontext {
namespace {

Status RunPass(DitRun& run, StepKind kind, int step, ConstTensorView tokens, TensorView velocity) {
  if (kind == StepKind::kReuse) return run.ForwardReusing(step, tokens, velocity);
  return run.Forward(step, tokens, velocity);
}

}  // namespace

Status Denoise(const DenoiseInputs& in, TensorView tokens, int64_t target_tokens,
               const std::function<void(const StepDone&)>& step_done) {
  const TensorView x = tokens.Rows(0, target_tokens);  // [Ti, 64]
  KX_ASSIGN_OR_RETURN(Tensor velocity, Tensor::Allocate(DType::kF32, x.shape()));
  KX_ASSIGN_OR_RETURN(Tensor velocity_negative, Tensor::Allocate(DType::kF32, x.shape()));
  float* v = velocity.view().As<float>();
  const float* v_negative = velocity_negative.view().As<float>();
  const int64_t n = x.shape().NumElements();
  KX_ASSIGN_OR_RETURN(VelocityHistory history, VelocityHistory::Create(x.shape()));

  const int steps = static_cast<int>(in.sigmas.size()) - 1;
  KX_ENSURE(in.plan.size() + 1 == in.sigmas.size());
  for (int step = in.first_step; step < steps; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    const StepKind kind = in.plan[static_cast<size_t>(step)];
    const float level = in.sigmas[static_cast<size_t>(step)];
    if (kind == StepKind::kForecast) {
      KX_RETURN_IF_ERROR(history.Forecast(level, velocity.view()));
    } else {
      KX_RETURN_IF_ERROR(RunPass(*in.run, kind, step, tokens, velocity.view()));
      if (in.negative != nullptr) {
        // DIF pipeline_flux_kontext.py: v = v_neg + s * (v_pos - v_neg)
        KX_RETURN_IF_ERROR(RunPass(*in.negative, kind, step, tokens, velocity_negative.view()));
        for (int64_t i = 0; i < n; ++i) v[i] = v_negative[i] + in.true_cfg * (v[i] - v_negative[i]);
      }
      history.Add(level, velocity.view());
    }
    if (!AllFinite(velocity.view())) {
      return Internal(
          "step {} of {}: the transformer's output holds NaN or infinity; the weights are damaged, "
          "or "
          "their values do not fit the dtype: \"kontext inspect\" looks at the file",
          step + 1, steps);
    }
    // x <- x + (sigma_next - sigma) * v   (FlowMatchEulerDiscreteScheduler.step)
    const float sigma = in.sigmas[static_cast<size_t>(step) + 1];
    const float dt = sigma - level;
    float* values = x.As<float>();
    for (int64_t i = 0; i < n; ++i) values[i] += dt * v[i];
    if (in.hold) in.hold(sigma, x);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    step_done({step, took.count(), sigma, x, velocity.view()});
  }
  return Status();
}

}  // namespace kontext
