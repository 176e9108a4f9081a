// Reporter: between a run and whoever watches it. Turns stages and steps into Progress, passes
// tensors to the tap, and asks the listener whether to go on.
#ifndef KONTEXT_EDIT_REPORTER_H_
#define KONTEXT_EDIT_REPORTER_H_

#include <string>
#include <string_view>
#include <vector>

#include "edit/denoise.h"
#include "edit/edit.h"
#include "edit/plan.h"
#include "edit/preview.h"
#include "edit/tokens.h"

namespace kontext {

class Reporter : public Observer {
 public:
  // `files`: the model's; a run also ends when one of them changes.
  Reporter(const EditWatch& watch, const EditPlan& plan, const EditRequest& request,
           const std::vector<std::string>& files);

  void OnTensor(std::string_view name, ConstTensorView value) override;
  bool Cancelled() override;

  void Notes(const std::vector<std::string>& notes);
  void Enter(Stage stage);
  void BeginPicture(int index, int first_step);  // first_step: those a checkpoint has
  void Step(const StepDone& done, Grid target);
  void Picture(const Edited& edited);
  Status FitPreview(const Model& model, Ops& ops);

  // kInternal naming the stage if `values` holds NaN or infinity.
  Status CheckFinite(const char* stage, ConstTensorView values) const;

 private:
  Pixels DrawPreview(const StepDone& done, Grid target) const;

  EditWatch watch_;
  const std::vector<std::string>& files_;
  PreviewMap preview_;
  Progress progress_;
  double step_seconds_ = 0;  // of all steps so far
  int steps_done_ = 0;
  bool forecasts_ = false;
};

}  // namespace kontext

#endif  // KONTEXT_EDIT_REPORTER_H_
