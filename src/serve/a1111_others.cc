// Fields of A1111's requests that do nothing here: refused if they would change the picture,
// ignored and told if they would not. docs/api.md lists them.
#include <array>

#include "base/status.h"
#include "serve/a1111.h"

namespace kontext::serve {

// What would change the picture and is not offered.
void A1111RefuseOthers(A1111Fields& in) {
  const char* const no = "is not offered";
  for (const char* flag : {"enable_hr", "restore_faces", "tiling"}) {
    if (in.Flag(flag, false)) in.NotOffered(flag, no);
  }
  for (const char* number :
       {"subseed_strength", "seed_resize_from_w", "seed_resize_from_h", "s_churn"}) {
    if (in.Number(number, -1e9, 1e9, 0) > 0) in.NotOffered(number, no);
  }
  if (in.Number("s_noise", -1e9, 1e9, 1) != 1) in.NotOffered("s_noise", no);
  for (const char* text : {"script_name", "refiner_checkpoint", "firstpass_image"}) {
    if (!in.Text(text, SIZE_MAX).empty()) in.NotOffered(text, no);
  }
  if (!in.Texts("styles", 100).empty()) in.NotOffered("styles", "there are no styles here");
  const Json* scripts = in.Find("alwayson_scripts");
  if (scripts != nullptr && !scripts->is_object())
    return in.Wrong("alwayson_scripts", "value is not a valid dict", "type_error.dict");
  const Json none = Json::object();
  for (const auto& [name, script] : (scripts == nullptr ? none : *scripts).items()) {
    const Json arguments = script.is_object() ? script.value("args", Json()) : script;
    if (!arguments.empty())  // clients name what they would use, with nothing in it
      in.NotOffered("alwayson_scripts", "always on script " + name.substr(0, 100) + " not found");
  }
}

// What A1111's clients send and what has no effect here; told when it would have had one there.
void A1111NoteIgnored(A1111Fields& in, bool img2img, bool masked, std::vector<std::string>& notes) {
  const std::string strength = "denoising_strength";
  if (in.Find(strength) != nullptr && img2img)
    notes.push_back(strength +
                    ": ignored; the picture is a reference of the edit, which "
                    "always begins from noise");
  static const std::array<std::pair<const char*, Json>, 9> kNeutral = {
      {{"resize_mode", 0},
       {"inpainting_fill", 0},
       {"inpaint_full_res", false},
       {"inpaint_full_res_padding", 0},
       {"initial_noise_multiplier", 1.0},
       {"save_images", false},
       {"image_cfg_scale", 1.5},
       {"mask_round", true},
       {"eta", 1.0}}};
  for (const auto& [name, neutral] : kNeutral) {
    const Json* value = in.Find(name);
    const bool of_mask = std::string_view(name).starts_with("inpaint");
    if (value != nullptr && *value != neutral && (!of_mask || masked))
      notes.push_back(std::string(name) + ": ignored");
  }
  for (const char* silent : {"subseed",
                             "do_not_save_samples",
                             "do_not_save_grid",
                             "override_settings_restore_afterwards",
                             "script_args",
                             "hr_scale",
                             "hr_upscaler",
                             "hr_second_pass_steps",
                             "hr_resize_x",
                             "hr_resize_y",
                             "hr_checkpoint_name",
                             "hr_sampler_name",
                             "hr_scheduler",
                             "hr_prompt",
                             "hr_negative_prompt",
                             "hr_cfg",
                             "hr_distilled_cfg",
                             "hr_additional_modules",
                             "firstphase_width",
                             "firstphase_height",
                             "s_tmax",
                             "s_tmin",
                             "s_min_uncond",
                             "disable_extra_networks",
                             "refiner_switch_at",
                             "force_task_id",
                             "latent_mask",
                             "comments",
                             "infotext",
                             strength.c_str()})
    in.Find(silent);
  for (const std::string& name : in.Others()) notes.push_back(name + ": unknown; ignored");
}

}  // namespace kontext::serve
