#include "edit/schedule.h"

#include <cmath>

namespace kontext {
namespace {

// FlowMatchEulerDiscreteScheduler._time_shift_exponential; t in (0, 1].
double TimeShift(double mu, double t) { return std::exp(mu) / (std::exp(mu) + (1.0 / t - 1.0)); }

}  // namespace

double TimeShiftMu(const SchedulerConfig& c, int64_t target_tokens) {
  const double m = (c.max_shift - c.base_shift) /
                   static_cast<double>(c.max_image_seq_len - c.base_image_seq_len);
  const double b = c.base_shift - m * static_cast<double>(c.base_image_seq_len);
  return static_cast<double>(target_tokens) * m + b;
}

std::vector<float> MakeSchedule(int steps, double mu) {
  std::vector<float> sigmas;
  for (int i = 0; i < steps; ++i) {
    // numpy linspace(1, 1/N, N), taken to f32 before the shift, as the scheduler does.
    const double t = steps == 1 ? 1.0 : 1.0 + i * ((1.0 / steps - 1.0) / (steps - 1));
    sigmas.push_back(static_cast<float>(TimeShift(mu, static_cast<float>(t))));
  }
  sigmas.push_back(0.0f);
  return sigmas;
}

std::vector<float> MakeFixedShiftSchedule(int steps) {
  constexpr double kShift = 1.15;
  constexpr int kTable = 10000;
  std::vector<float> sigmas;
  for (int i = 0; i < steps; ++i) {
    const int index = static_cast<int>(static_cast<int64_t>(i) * kTable / steps);
    sigmas.push_back(
        static_cast<float>(TimeShift(kShift, 1.0 - static_cast<double>(index) / kTable)));
  }
  sigmas.push_back(0.0f);
  return sigmas;
}

}  // namespace kontext
