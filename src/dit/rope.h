// The rotary table of a run's tokens.
#ifndef KONTEXT_DIT_ROPE_H_
#define KONTEXT_DIT_ROPE_H_

#include <vector>

#include "dit/dit.h"

namespace kontext {

// [T, Dh/2, 2] = (cos, sin) of every token's angles, axis after axis (spec architecture 6):
// angle of pair j of an axis with d channels at position p is p * theta^(-2j/d).
std::vector<float> RopeTable(const DitConfig& config, const std::vector<TokenId>& ids);

}  // namespace kontext

#endif  // KONTEXT_DIT_ROPE_H_
