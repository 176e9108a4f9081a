// "(word:1.2)" in prompts, for --like comfyui and --like sdcpp, which read it; ours never does.
#ifndef KONTEXT_EDIT_PROMPT_WEIGHTS_H_
#define KONTEXT_EDIT_PROMPT_WEIGHTS_H_

#include <string>
#include <string_view>
#include <vector>

namespace kontext {

struct WeightedText {
  std::string text;
  float weight = 1.0f;
};

// ComfyUI's grammar (sd1_clip.py token_weights): "(x)" times 1.1, "(x:w)" exactly w, nested; "\("
// and
// "\)" are literal. What cannot be parsed as a weight is text.
std::vector<WeightedText> ParsePromptWeights(std::string_view prompt);

}  // namespace kontext

#endif  // KONTEXT_EDIT_PROMPT_WEIGHTS_H_
