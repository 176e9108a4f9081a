// The conditioning vector: timestep, guidance and CLIP's pooled text, each through its own small
// MLP.
#ifndef KONTEXT_DIT_EMBED_H_
#define KONTEXT_DIT_EMBED_H_

#include <vector>

#include "compute/ops.h"
#include "dit/dit.h"
#include "dit/dit_activations.h"
#include "dit/tap.h"

namespace kontext {

// 1000 * sigma, and 1000 * guidance, rounded as the program in question does (spec architecture 7).
float ScaledTimestep(float sigma, TimestepPrecision precision);
float ScaledGuidance(float guidance, TimestepPrecision precision);

// [256]: cos(tau * f_0..127), sin(tau * f_0..127), f_i = 10000^(-i/128); `tau` is scaled already.
std::vector<float> TimestepEmbedding(float tau);

// Fills a.vec [steps, D] = time_in(t) + guidance_in(g) + vector_in(pooled).  (BFL model.py:99-104)
void EmbedConditioning(const DitConfig& config, const DitWeights& weights, const DitInputs& inputs,
                       const DitActivations& a, Ops& ops, const Tap& tap);

}  // namespace kontext

#endif  // KONTEXT_DIT_EMBED_H_
