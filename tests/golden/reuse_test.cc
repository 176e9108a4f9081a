// Passes that reuse the reference's keys and values: exact while nothing has changed, near when
// something has, refused before there is anything to reuse.
#include <gtest/gtest.h>

#include <cstdio>

#include "golden/tiny_dit.h"

namespace kontext {
namespace {

class Reuse : public testing::TestWithParam<std::string> {
 protected:
  Reuse() : dit_(TinyConfig(), source_, {GetParam(), "f32"}) {
    dit_.inputs.timesteps = {0.75f, 0.5f};
    dit_.inputs.keep_reference = true;
  }
  // The velocity at `step` by reuse of a full pass at `kept`.
  Values Reusing(int kept, int step) { return dit_.Run({{kept, false}, {step, true}}); }
  Values Full(int step) { return dit_.Run({{step, false}}); }

  TinySource source_;
  TinyDit dit_;
};

// With KX_NUDGE=stale the pass that is reused was another step's: the twin that must fail.
TEST_P(Reuse, IsExactWhileNothingHasChanged) {
  const char* nudge = std::getenv("KX_NUDGE");
  const bool stale = nudge != nullptr && std::string_view(nudge) == "stale";
  for (const int step : {0, 1}) {
    const double worst = RelativeError(Reusing(stale ? 1 - step : step, step), Full(step));
    // Fewer rows may be multiplied in another order of sums: 4 blocks of products of up to 320
    // terms, each sum's error growing with the root of its terms.
    const double bound = 4 * std::sqrt(320.0) * std::ldexp(1.0, -24) * 4;
    std::printf("%s, step %d: off by %.2g, bound %.2g\n", GetParam().c_str(), step, worst, bound);
    EXPECT_LE(worst, bound);
  }
}

// What reuse leaves out is a change of the reference's rows, which are 4 of 15 tokens here.
TEST_P(Reuse, OfAnotherStepIsNearerThanThatStepsVelocity) {
  const Values full = Full(1);
  const double reusing = RelativeError(Reusing(0, 1), full), before = RelativeError(Full(0), full);
  std::printf("%s: reuse is off by %.3g, the velocity before by %.3g\n", GetParam().c_str(),
              reusing, before);
  EXPECT_GT(reusing, 0);
  EXPECT_LT(reusing, before);
}

TEST_P(Reuse, KeepingChangesNothing) {
  const Values keeping = Full(0);
  dit_.inputs.keep_reference = false;
  EXPECT_EQ(Full(0), keeping);
}

INSTANTIATE_TEST_SUITE_P(Backends, Reuse, testing::Values("reference", "cpu"));

}  // namespace
}  // namespace kontext
