#include "edit/step_plan.h"

#include <gtest/gtest.h>

namespace kontext {
namespace {

int Passes(const StepPlan& plan) {
  int passes = 0;
  for (const StepKind kind : plan) passes += kind != StepKind::kForecast;
  return passes;
}

TEST(StepPlan, OfTwentyEightSteps) {
  EXPECT_EQ(Text(PlanSteps(Mode::kExact, 28)), std::string(28, 'F'));
  EXPECT_EQ(PlanSteps(Mode::kDefault, 28), PlanSteps(Mode::kExact, 28));
  EXPECT_EQ(Text(PlanSteps(Mode::kBalanced, 28)), "FF-F-F-F-F-F-F--F-F-F-F-F-F-");
  EXPECT_EQ(Text(PlanSteps(Mode::kFast, 28)), "FF--F---F----F----F----F----");
}

// Half and a quarter of the passes, and never a forecast without a line.
TEST(StepPlan, OfEveryNumberOfSteps) {
  for (int steps = 1; steps <= EditLimits{}.max_steps; ++steps) {
    for (const auto& [mode, one_in] :
         {std::pair(Mode::kExact, 1), std::pair(Mode::kBalanced, 2), std::pair(Mode::kFast, 4)}) {
      const StepPlan plan = PlanSteps(mode, steps);
      const auto again = ParseStepPlan(Text(plan));
      ASSERT_TRUE(again.ok()) << again.message();
      EXPECT_EQ(*again, plan);
      ASSERT_EQ(std::ssize(plan), steps);
      EXPECT_EQ(Passes(plan), std::min(steps, std::max(3, (steps + one_in - 1) / one_in)))
          << Text(plan);
    }
  }
}

TEST(StepPlan, TextThatIsNoPlanIsRefusedWithItsStep) {
  for (const auto& [text, step] :
       {std::pair("", "empty"), std::pair("-", "step 1"), std::pair("RF", "step 1"),
        std::pair("F-F", "step 2"), std::pair("FFx", "step 3"), std::pair("FF f", "step 3")}) {
    const auto plan = ParseStepPlan(text);
    EXPECT_EQ(plan.code(), Code::kUsage) << text;
    EXPECT_NE(plan.message().find(step), std::string::npos) << plan.message();
  }
  EXPECT_EQ(Text(*ParseStepPlan("FR-F-")), "FR-F-");
}

TEST(StepPlan, ReusesOnlyWhereItSaysSo) {
  EXPECT_TRUE(Reuses(*ParseStepPlan("FFR")));
  EXPECT_FALSE(Reuses(*ParseStepPlan("FF-")));
}

}  // namespace
}  // namespace kontext
