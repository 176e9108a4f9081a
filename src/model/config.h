// The config files of a model directory -> the sizes of its networks. Sizes are data of the model:
// nothing in the networks is a constant of FLUX.
#ifndef KONTEXT_MODEL_CONFIG_H_
#define KONTEXT_MODEL_CONFIG_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "dit/dit_config.h"
#include "kontext/request.h"
#include "model/few_step.h"
#include "text/clip_encoder.h"
#include "text/t5_encoder.h"
#include "vae/vae.h"

namespace kontext {

// FlowMatchEulerDiscreteScheduler's numbers (spec architecture 1.5).
struct SchedulerConfig {
  double base_shift = 0.5;
  double max_shift = 1.15;
  int64_t base_image_seq_len = 256;
  int64_t max_image_seq_len = 4096;
};

// What kontext.json may set; the defaults are those of the real model.
struct ModelDefaults {
  std::string name;
  std::string license;
  std::vector<Size> preferred_sizes;
  int steps = 28;
  float guidance = 2.5f;
  // A LoRA put on the model; its steps and guidance come before those of --like and above.
  const FewStep* few_step = nullptr;
};

// Each reads one file; a field that is missing or out of range is kBadInput naming file and field.
Result<DitConfig> ReadDitConfig(const std::string& path);    // transformer/config.json
Result<VaeConfig> ReadVaeConfig(const std::string& path);    // vae/config.json
Result<ClipConfig> ReadClipConfig(const std::string& path);  // text_encoder/config.json
Result<T5Config> ReadT5Config(const std::string& path);      // text_encoder_2/config.json
Result<SchedulerConfig> ReadSchedulerConfig(
    const std::string& path);  // scheduler/scheduler_config.json
Result<ModelDefaults> ReadModelDefaults(const std::string& path);  // kontext.json; absent: FLUX's

// The parts must fit each other: widths of text states, pooled vector and latents.
Status CheckConfigsAgree(const DitConfig& dit, const VaeConfig& vae, const ClipConfig& clip,
                         const T5Config& t5);

}  // namespace kontext

#endif  // KONTEXT_MODEL_CONFIG_H_
