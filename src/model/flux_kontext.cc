#include "model/flux_kontext.h"

namespace kontext {

SchedulerConfig FluxKontextScheduler() {
  return {
      .base_shift = 0.5, .max_shift = 1.15, .base_image_seq_len = 256, .max_image_seq_len = 4096};
}

ModelDefaults FluxKontextDefaults() {
  ModelDefaults d;
  d.steps = 28;
  d.guidance = 2.5f;
  d.preferred_sizes = {{672, 1568}, {688, 1504}, {720, 1456}, {752, 1392},  {800, 1328},
                       {832, 1248}, {880, 1184}, {944, 1104}, {1024, 1024}, {1104, 944},
                       {1184, 880}, {1248, 832}, {1328, 800}, {1392, 752},  {1456, 720},
                       {1504, 688}, {1568, 672}};
  return d;
}

}  // namespace kontext
