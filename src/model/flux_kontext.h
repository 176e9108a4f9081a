// What FLUX.1 Kontext [dev] is beside its weights, for files that come without a model directory.
#ifndef KONTEXT_MODEL_FLUX_KONTEXT_H_
#define KONTEXT_MODEL_FLUX_KONTEXT_H_

#include "model/config.h"

namespace kontext {

// The scheduler's numbers (scheduler/scheduler_config.json of FLUX.1 [dev], which Kontext shares).
SchedulerConfig FluxKontextScheduler();

// The 17 sizes it was trained on (BFL util.py PREFERED_KONTEXT_RESOLUTIONS), 28 steps, guidance
// 2.5. Without a name: the file's is used.
ModelDefaults FluxKontextDefaults();

}  // namespace kontext

#endif  // KONTEXT_MODEL_FLUX_KONTEXT_H_
