// What makes "the same seed" differ between programs, as data: one row per program (docs/likes.md).
#ifndef KONTEXT_EDIT_LIKES_H_
#define KONTEXT_EDIT_LIKES_H_

#include <optional>

#include "base/rng.h"
#include "dit/dit.h"
#include "kontext/request.h"

namespace kontext {

enum class ReferenceFit {
  kPreferred,      // Lanczos, stretched to the preferred size of nearest aspect
  kPreferredCrop,  // Lanczos, after a centre crop to that size's aspect
  kNearestArea,    // nearest neighbour, at most the model's area, sides multiples of 16
};
enum class OutputFit {
  kReference,  // the size the first reference was brought to
  kModelArea,  // the model's square size rescaled to the reference's aspect and floored to 16
               // (Diffusers)
  kFileUp,     // the reference file's own size, up to the next multiple of 16
};
enum class T5Padding {
  kModel,       // padded and cut to the model's length
  kAtLeast256,  // padded to 256, longer prompts not cut
  kChunks256,   // chunks of 256, each encoded by itself
};
enum class PromptWeights {
  kNone,         // parentheses are text
  kInterpolate,  // (x:1.2): states moved away from those of the empty prompt (ComfyUI)
  kScaleToMean,  // (x:1.2): states scaled, then the whole brought back to its mean
                 // (stable-diffusion.cpp)
};

struct LikeProfile {
  const char* name;
  ReferenceFit reference;
  OutputFit output;
  T5Padding t5;
  PromptWeights weights;
  bool fixed_shift;  // ComfyUI's `simple` schedule: a table at shift 1.15; else mu by target tokens
  std::optional<int> steps;  // of --like; else the model's
  std::optional<float> guidance;
  NoiseStream noise;
  TimestepPrecision precision;
};

const LikeProfile& ProfileOf(Like like);

}  // namespace kontext

#endif  // KONTEXT_EDIT_LIKES_H_
