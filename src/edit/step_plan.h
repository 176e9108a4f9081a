// Which steps of the Euler loop run the transformer, and how: the approximate modes
// (docs/modes.md).
#ifndef KONTEXT_EDIT_STEP_PLAN_H_
#define KONTEXT_EDIT_STEP_PLAN_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kontext/request.h"

namespace kontext {

// Where a step's velocity comes from.
enum class StepKind : char {
  kFull = 'F',      // a pass over all tokens
  kReuse = 'R',     // a pass over text and target: keys and values of the references as they were
  kForecast = '-',  // no pass: the line through the last two computed velocities
};

using StepPlan = std::vector<StepKind>;  // one a step

// The mode's plan; steps >= 1. Its passes are full ones: none that reuses references has been worth
// its price.
StepPlan PlanSteps(Mode mode, int steps);

// "FFF-R-F": as recipes have it. A plan begins with a full pass, and a forecast needs two passes
// before it.
std::string Text(const StepPlan& plan);
Result<StepPlan> ParseStepPlan(std::string_view text);

bool Reuses(const StepPlan& plan);
bool Forecasts(const StepPlan& plan);

}  // namespace kontext

#endif  // KONTEXT_EDIT_STEP_PLAN_H_
