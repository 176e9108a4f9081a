// The noise levels of the steps (spec architecture 11).
#ifndef KONTEXT_EDIT_SCHEDULE_H_
#define KONTEXT_EDIT_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace kontext {

// mu(n) = n*m + b through (base_image_seq_len, base_shift) and (max_image_seq_len, max_shift), not
// clamped; n is the number of target tokens only, references are not counted.
double TimeShiftMu(const SchedulerConfig& config, int64_t target_tokens);

// steps + 1 sigmas from 1 down to 0: sigma' = e^mu / (e^mu + (1/sigma - 1)) over linspace(1,
// 1/steps).
std::vector<float> MakeSchedule(int steps, double mu);

// ComfyUI's `simple` scheduler over ModelSamplingFlux: t_i = 1 - int(i*10000/steps)/10000, shifted
// by a fixed mu of 1.15, whatever the size (likes.md).
std::vector<float> MakeFixedShiftSchedule(int steps);

}  // namespace kontext

#endif  // KONTEXT_EDIT_SCHEDULE_H_
