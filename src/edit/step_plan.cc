#include "edit/step_plan.h"

#include <algorithm>
#include <cmath>

namespace kontext {

namespace {

// One pass in so many steps, and how the distances between passes grow: as the derivative of
// t^power.
struct Sparsity {
  int one_in;
  double power;
};

// docs/modes.md has the plans that were tried.
Sparsity SparsityOf(Mode mode) {
  switch (mode) {
    case Mode::kExact:
    case Mode::kDefault:
      return {1, 1.0};
    case Mode::kBalanced:
      return {2, 1.0};
    case Mode::kFast:
      return {4, 1.2};
  }
  return {1, 1.0};  // not reached: every case returns
}

}  // namespace

// Passes at 0, at 1, and from there on at 1 + (steps - 1) t^power, with t evenly spaced from 0 to
// just below 1: a line needs two passes to begin with, and the last steps one near to them.
StepPlan PlanSteps(Mode mode, int steps) {
  constexpr int kLeast = 3;  // below that no line would ever be corrected
  const auto [one_in, power] = SparsityOf(mode);
  const int passes = std::min(steps, std::max(kLeast, (steps + one_in - 1) / one_in));
  StepPlan plan(static_cast<size_t>(steps), StepKind::kForecast);
  plan[0] = StepKind::kFull;
  int last = 0;
  for (int pass = 1; pass < passes; ++pass) {
    const double t = static_cast<double>(pass - 1) / (passes - 1);
    const auto at = static_cast<int>(std::lround(1 + (steps - 1) * std::pow(t, power)));
    last = std::max(at, last + 1);
    plan[static_cast<size_t>(last)] = StepKind::kFull;
  }
  return plan;
}

std::string Text(const StepPlan& plan) {
  std::string text;
  for (const StepKind kind : plan) text.push_back(static_cast<char>(kind));
  return text;
}

Result<StepPlan> ParseStepPlan(std::string_view text) {
  StepPlan plan;
  int passes = 0;
  for (const char c : text) {
    const auto kind = static_cast<StepKind>(c);
    const bool known =
        kind == StepKind::kFull || kind == StepKind::kReuse || kind == StepKind::kForecast;
    if (!known || (plan.empty() && kind != StepKind::kFull) ||
        (kind == StepKind::kForecast && passes < 2)) {
      return Usage(
          "step plan \"{}\", step {}: expected F (full), R (reuse; not the first) or - (forecast; "
          "after two passes)",
          text, plan.size() + 1);
    }
    passes += kind != StepKind::kForecast;
    plan.push_back(kind);
  }
  if (plan.empty()) return Usage("a step plan is empty, expected one letter a step");
  return plan;
}

bool Reuses(const StepPlan& plan) {
  return std::find(plan.begin(), plan.end(), StepKind::kReuse) != plan.end();
}

bool Forecasts(const StepPlan& plan) {
  return std::find(plan.begin(), plan.end(), StepKind::kForecast) != plan.end();
}

}  // namespace kontext
