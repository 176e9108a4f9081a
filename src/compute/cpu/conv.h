// Convolutions: what of a picture is in other memory than its own.
#ifndef KONTEXT_COMPUTE_CPU_CONV_H_
#define KONTEXT_COMPUTE_CPU_CONV_H_

#include <cstdint>

#include "compute/cpu/cpu_features.h"
#include "compute/cpu/workspace.h"

namespace kontext::cpu {

// The most that convolutions take of the workspace for pictures of `pixels` pixels, `width` in a
// row, of `depth` channels, dst among them: raises `bytes` to that.
void ConvSlots(const Plan& plan, int64_t pixels, int64_t width, int64_t depth, SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_CONV_H_
