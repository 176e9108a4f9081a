#include "dit/embed.h"

#include <cmath>

namespace kontext {
namespace {

constexpr float kTimeFactor = 1000.0f;  // BFL layers.py:28

// Linear, silu, Linear (BFL layers.py:59-60). src [n, K] -> dst [n, D], through hidden [n, D].
void Embedder(const EmbedderWeights& w, ConstTensorView src, TensorView hidden, TensorView dst,
              Ops& ops) {
  ops.Linear(src, *w.in_layer, Activation::kSilu, hidden);
  ops.Linear(hidden, *w.out_layer, Activation::kNone, dst);
}

// The sinusoids of all `taus` into dst [n, 256].
void PutSinusoids(const std::vector<float>& taus, TensorView dst, Ops& ops) {
  for (size_t i = 0; i < taus.size(); ++i) {
    const std::vector<float> row = TimestepEmbedding(taus[i]);
    const auto at = static_cast<int64_t>(i);
    ops.Copy(ViewOf(row.data(), {1, kTimestepChannels}), dst.Rows(at, at + 1));
  }
}

}  // namespace

float ScaledTimestep(float sigma, TimestepPrecision precision) {
  switch (precision) {
    case TimestepPrecision::kExact:
      return kTimeFactor * sigma;
    case TimestepPrecision::kBfl:  // a bf16 tensor times 1000 (sampling.py:328, layers.py:37)
      return RoundToBF16(kTimeFactor * RoundToBF16(sigma));
    case TimestepPrecision::kDiffusers: {  // 1000 sigma as bf16, / 1000 in the pipeline, * 1000 in
                                           // the model
      const float t = RoundToBF16(kTimeFactor * sigma);
      return RoundToBF16(kTimeFactor * RoundToBF16(t / kTimeFactor));
    }
  }
  return 0;  // not reached: every case returns
}

// Diffusers rounds the guidance as BFL does: only the timestep takes its detour.
float ScaledGuidance(float guidance, TimestepPrecision precision) {
  const bool exact = precision == TimestepPrecision::kExact;
  return ScaledTimestep(guidance, exact ? TimestepPrecision::kExact : TimestepPrecision::kBfl);
}

// Frequencies and angles are rounded to float as in BFL layers.py:39-44: at tau = 2500 an angle's
// last bit is 2e-4, so double would be a different embedding from the one the model was trained
// with.
std::vector<float> TimestepEmbedding(float tau) {
  constexpr int64_t kHalf = kTimestepChannels / 2;
  std::vector<float> out(static_cast<size_t>(kTimestepChannels));
  for (int64_t i = 0; i < kHalf; ++i) {
    const float exponent =
        static_cast<float>(-std::log(10000.0)) * static_cast<float>(i) / float{kHalf};
    const float frequency = static_cast<float>(std::exp(double{exponent}));
    const double angle = double{tau * frequency};
    out[static_cast<size_t>(i)] = static_cast<float>(std::cos(angle));
    out[static_cast<size_t>(kHalf + i)] = static_cast<float>(std::sin(angle));
  }
  return out;
}

void EmbedConditioning(const DitConfig& config, const DitWeights& w, const DitInputs& inputs,
                       const DitActivations& a, Ops& ops, const Tap& tap) {
  std::vector<float> taus;
  for (const float sigma : inputs.timesteps)
    taus.push_back(ScaledTimestep(sigma, inputs.precision));
  PutSinusoids(taus, a.sinusoids, ops);
  Embedder(w.time_in, a.sinusoids, a.vec_hidden, a.vec, ops);  // [steps, D]
  tap(a.vec, "time_in");

  // The other two are the same at every step: one row, added to all.
  const TensorView hidden = a.vec_hidden.Rows(0, 1);  // [1, D]
  const auto add_to_all = [&](ConstTensorView row) {
    for (int64_t i = 0; i < a.plan.steps; ++i)
      ops.Add(a.vec.Rows(i, i + 1), row, a.vec.Rows(i, i + 1));
  };
  if (config.guidance) {
    const TensorView sinusoid = a.sinusoids.Rows(0, 1);  // [1, 256]
    PutSinusoids({ScaledGuidance(inputs.guidance, inputs.precision)}, sinusoid, ops);
    Embedder(w.guidance_in, sinusoid, hidden, a.vec_row, ops);
    tap(a.vec_row, "guidance_in");
    add_to_all(a.vec_row);
  }
  Embedder(w.vector_in, inputs.pooled.Reshaped({1, config.vec}), hidden, a.vec_row, ops);
  tap(a.vec_row, "vector_in");
  add_to_all(a.vec_row);
}

}  // namespace kontext
