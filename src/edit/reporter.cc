#include "edit/reporter.h"

#include "base/status.h"
#include "edit/finite.h"
#include "io/mapped_ranges.h"

namespace kontext {

Reporter::Reporter(const EditWatch& watch, const EditPlan& plan, const EditRequest& request,
                   const std::vector<std::string>& files)
    : watch_(watch), files_(files) {
  progress_.pictures = request.count;
  progress_.steps = plan.steps;
  if (request.resume) {
    progress_.picture = request.resume->picture;
    progress_.step = request.resume->step;
  }
  forecasts_ = Forecasts(plan.step_plan);
}

void Reporter::OnTensor(std::string_view name, ConstTensorView value) {
  if (watch_.tap != nullptr) watch_.tap->OnTensor(name, value);
}

bool Reporter::Cancelled() {
  return (watch_.listener != nullptr && watch_.listener->Cancelled()) ||
         (watch_.tap != nullptr && watch_.tap->Cancelled()) || !CheckNothingLost(files_).ok();
}

void Reporter::Notes(const std::vector<std::string>& notes) {
  if (watch_.listener == nullptr) return;
  for (const std::string& note : notes) watch_.listener->OnNote(note);
}

void Reporter::Enter(Stage stage) {
  progress_.stage = stage;
  progress_.preview = nullptr;
  if (watch_.listener != nullptr) watch_.listener->OnProgress(progress_);
}

void Reporter::BeginPicture(int index, int first_step) {
  progress_.picture = index;
  progress_.step = first_step;
  Enter(Stage::kSteps);
}

void Reporter::Step(const StepDone& done, Grid target) {
  OnTensor(fmt::format("step{}.velocity", done.step), done.velocity);
  OnTensor(fmt::format("step{}.latents", done.step), done.x);
  step_seconds_ += done.seconds;
  ++steps_done_;
  progress_.step = done.step + 1;
  progress_.seconds_per_step = step_seconds_ / steps_done_;
  progress_.seconds_left =
      progress_.seconds_per_step *
      ((progress_.pictures - progress_.picture) * progress_.steps - progress_.step);
  if (watch_.listener == nullptr) return;
  // A run that forecasts needs more than its latents to go on; it begins its picture anew.
  if (watch_.listener->WantsCheckpoints() && (!forecasts_ || done.step + 1 == progress_.steps)) {
    const float* x = done.x.As<float>();
    watch_.listener->OnCheckpoint(
        {progress_.picture, progress_.step, {x, x + done.x.shape().NumElements()}});
  }
  Pixels preview;
  if (preview_.fitted()) {
    preview = DrawPreview(done, target);
    progress_.preview = &preview;
  }
  watch_.listener->OnProgress(progress_);
  progress_.preview = nullptr;
}

// The picture the step is heading for: x0 = x - sigma * v, drawn one pixel per latent.
Pixels Reporter::DrawPreview(const StepDone& done, Grid target) const {
  const int64_t width = done.x.dim(1);
  Result<Tensor> tokens = Tensor::Allocate(DType::kF32, done.x.shape());
  Result<Tensor> latents =
      Tensor::Allocate(DType::kF32, {2 * target.rows, 2 * target.cols, width / 4});
  if (!tokens.ok() || !latents.ok()) return {};  // no memory for a preview is no reason to stop
  const float* x = done.x.As<float>();
  const float* v = done.velocity.As<float>();
  float* x0 = tokens->view().As<float>();
  for (int64_t i = 0; i < done.x.shape().NumElements(); ++i) x0[i] = x[i] - done.sigma * v[i];
  Unpack(tokens->view(), latents->view());
  return preview_.Draw(latents->view());
}

void Reporter::Picture(const Edited& edited) {
  if (watch_.listener != nullptr) watch_.listener->OnPicture(edited);
}

Status Reporter::FitPreview(const Model& model, Ops& ops) {
  KX_ASSIGN_OR_RETURN(preview_, PreviewMap::ForModel(model, ops, nullptr));
  return Status();
}

Status Reporter::CheckFinite(const char* stage, ConstTensorView values) const {
  if (AllFinite(values)) return Status();
  return Internal(
      "{}: the result holds NaN or infinity; the weights are damaged, or their values do not fit "
      "the "
      "dtype: \"kontext inspect\" looks at the file",
      stage);
}

}  // namespace kontext
