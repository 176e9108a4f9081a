#include "edit/velocity_history.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <vector>

namespace kontext {
namespace {

const Shape kShape{3, 5};

// A trajectory of polynomials in sigma: element i is a_i + b_i sigma + c_i sigma^2.
class Trajectory {
 public:
  explicit Trajectory(double curvature) : curvature_(curvature) {}
  double At(int64_t i, double sigma) const {
    const auto n = static_cast<double>(i);
    return std::sin(n) + std::cos(2 * n) * sigma + curvature_ * std::sin(3 * n + 1) * sigma * sigma;
  }
  double Curvature(int64_t i) const {
    return curvature_ * std::sin(3 * static_cast<double>(i) + 1);
  }
  Tensor Velocity(float sigma) const {
    Tensor t = *Tensor::Allocate(DType::kF32, kShape);
    for (int64_t i = 0; i < kShape.NumElements(); ++i) {
      t.view().As<float>()[i] = static_cast<float>(At(i, double{sigma}));
    }
    return t;
  }

 private:
  double curvature_;
};

// Levels as uneven as a schedule's.
constexpr float kOlder = 0.93f, kNewer = 0.88f, kAsked[] = {0.81f, 0.7f, 0.42f};

// The remainder of the line through two points of a parabola (Newton's form):
// c (sigma - sigma1) (sigma - sigma0). What is left is the rounding of three floats below 4, grown
// by how many times the known distance the asked one is.
void ExpectRemainder(double curvature) {
  const Trajectory trajectory(curvature);
  auto history = VelocityHistory::Create(kShape);
  ASSERT_TRUE(history.ok());
  history->Add(0.99f, trajectory.Velocity(0.99f).view());  // forgotten
  history->Add(kOlder, trajectory.Velocity(kOlder).view());
  history->Add(kNewer, trajectory.Velocity(kNewer).view());
  Tensor forecast = *Tensor::Allocate(DType::kF32, kShape);
  for (const float sigma : kAsked) {
    ASSERT_TRUE(history->Forecast(sigma, forecast.view()).ok());
    const double ahead =
        std::abs((double{sigma} - double{kNewer}) / (double{kNewer} - double{kOlder}));
    const double bound = 4 * std::ldexp(1.0, -24) * (4 + 4 * ahead);
    double worst = 0;
    for (int64_t i = 0; i < kShape.NumElements(); ++i) {
      const double remainder = trajectory.Curvature(i) * (double{sigma} - double{kNewer}) *
                               (double{sigma} - double{kOlder});
      const double off = trajectory.At(i, double{sigma}) - double{forecast.view().As<float>()[i]};
      worst = std::max(worst, std::abs(off - remainder));
    }
    std::printf("curvature %g, sigma %g: off by %.2g, bound %.2g\n", curvature, double{sigma},
                worst, bound);
    EXPECT_LE(worst, bound);
  }
}

TEST(VelocityHistory, ALineIsForecastExactly) { ExpectRemainder(0); }

TEST(VelocityHistory, AParabolaIsMissedByItsRemainder) { ExpectRemainder(0.5); }

TEST(VelocityHistory, NothingIsForecastFromLessThanTwoLevels) {
  const Trajectory trajectory(0);
  auto history = VelocityHistory::Create(kShape);
  ASSERT_TRUE(history.ok());
  Tensor forecast = *Tensor::Allocate(DType::kF32, kShape);
  EXPECT_EQ(history->Forecast(0.5f, forecast.view()).code(), Code::kInternal);
  for (int i = 0; i < 2; ++i) {  // one level, and the same level twice
    history->Add(kOlder, trajectory.Velocity(kOlder).view());
    EXPECT_EQ(history->Forecast(0.5f, forecast.view()).code(), Code::kInternal);
  }
  history->Add(kNewer, trajectory.Velocity(kNewer).view());
  EXPECT_TRUE(history->Forecast(0.5f, forecast.view()).ok());
}

}  // namespace
}  // namespace kontext
