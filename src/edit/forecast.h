// How long an edit will take: the operations of its parts, counted, over rates measured in a few
// seconds at the model's own widths (docs/memory.md).
#ifndef KONTEXT_EDIT_FORECAST_H_
#define KONTEXT_EDIT_FORECAST_H_

#include <cstdint>

#include "base/status.h"
#include "compute/ops.h"
#include "dit/dit.h"
#include "edit/memory.h"
#include "edit/sizes.h"
#include "tensor/weight_rows.h"

namespace kontext {

// Operations (2 x multiply-adds) of one step, as performance.md 11 counts them, and what grows with
// neither: rows times blocks.
struct StepWork {
  double linear = 0, attention = 0, block_rows = 0;
};
StepWork WorkOfStep(const DitConfig& config, const DitPlan& plan);
// Of the modulations' products, which are done once for all steps.
int64_t ModulationParameters(const DitConfig& config);
// Before the steps: T5, CLIP, and the modulations of all steps; all of them products.
double WorkBeforeSteps(const NetworkConfigs& configs, const DitPlan& plan);

struct Rates {
  double linear = 0, attention = 0;            // operations a second
  double linear_int8 = 0, attention_int8 = 0;  // of what may run in 8 bits: every mode but exact
  double seconds_per_block_row = 0;            // norms, heads, gates
  double encode_seconds_per_pixel = 0;         // the autoencoder, small pictures
  double decode_seconds_per_pixel = 0;
};
// Runs one single block and the autoencoder, with random weights.
Result<Rates> MeasureRates(const NetworkConfigs& configs, Ops& ops);

struct Forecast {
  double step = 0, edit = 0;  // seconds
};
// `decode_per_element`: seconds that one weight costs beyond a bf16 one each time it is decoded; in
// 8 bits none is.
Forecast Predict(const NetworkConfigs& configs, const DitPlan& plan, Size size, const Rates& rates,
                 Precision precision, double decode_per_element);

// Seconds for one weight to become f32, on one thread.
double DecodeSeconds(const WeightRows& rows);

}  // namespace kontext

#endif  // KONTEXT_EDIT_FORECAST_H_
