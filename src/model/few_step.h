// LoRAs that were distilled so that few steps are enough, and what their makers say to run them
// with.
#ifndef KONTEXT_MODEL_FEW_STEP_H_
#define KONTEXT_MODEL_FEW_STEP_H_

#include <string>

namespace kontext {

struct FewStep {
  const char* name;
  int steps;
  float guidance;
  float strength;
};

// Told by the file's name, under which copies and conversions of it go as well; of a file that has
// Diffusers' name for any (diffusion_pytorch_model.safetensors) by its folders'. Null: none of
// them.
const FewStep* FewStepOf(const std::string& path);

}  // namespace kontext

#endif  // KONTEXT_MODEL_FEW_STEP_H_
