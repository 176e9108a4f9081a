#include "edit/plan.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "edit/mask.h"
#include "edit/sizes.h"

namespace kontext {
namespace {

Status CheckNumbers(const EditRequest& r, const EditLimits& limits) {
  if (static_cast<int64_t>(r.prompt.size()) > limits.max_prompt_bytes) {
    return Usage("prompt: {} bytes, at most {}", r.prompt.size(), limits.max_prompt_bytes);
  }
  if (r.negative && static_cast<int64_t>(r.negative->size()) > limits.max_prompt_bytes) {
    return Usage("negative: {} bytes, at most {}", r.negative->size(), limits.max_prompt_bytes);
  }
  if (r.steps && (*r.steps < 1 || *r.steps > limits.max_steps)) {
    return Usage("steps {}: must be 1..{}", *r.steps, limits.max_steps);
  }
  if (r.guidance && !(*r.guidance >= 0 && *r.guidance <= limits.max_guidance)) {
    return Usage("guidance {}: must be 0..{}", *r.guidance, limits.max_guidance);
  }
  if (!(r.true_cfg >= 0 && r.true_cfg <= limits.max_true_cfg)) {
    return Usage("true-cfg {}: must be 0..{}", r.true_cfg, limits.max_true_cfg);
  }
  if (r.count < 1 || r.count > limits.max_count)
    return Usage("n {}: must be 1..{}", r.count, limits.max_count);
  if (static_cast<int>(r.images.size()) > limits.max_images) {
    return Usage("{} reference pictures, at most {}", r.images.size(), limits.max_images);
  }
  return Status();
}

Status CheckPictures(const EditRequest& r) {
  for (size_t i = 0; i < r.images.size(); ++i) {
    const Pixels& p = r.images[i];
    const bool sound = p.width > 0 && p.height > 0 && (p.channels == 3 || p.channels == 4) &&
                       p.data.size() == static_cast<size_t>(p.width) *
                                            static_cast<size_t>(p.height) *
                                            static_cast<size_t>(p.channels);
    if (!sound) {
      return Usage("reference {}: {}x{} with {} channels and {} bytes is no picture", i + 1,
                   p.width, p.height, p.channels, p.data.size());
    }
  }
  if (r.latents.size() > r.images.size()) {
    return Usage("{} latents for {} reference pictures", r.latents.size(), r.images.size());
  }
  return Status();
}

// kUsage unless latents of reference i, if there are any, are those of a picture.
Status CheckLatents(const EditRequest& r, size_t i, const EditLimits& limits) {
  if (!HasLatents(r, i)) return Status();
  const Latents& l = r.latents[i];
  KX_RETURN_IF_ERROR(CheckSize({l.width, l.height}, limits));
  const size_t expected =
      static_cast<size_t>(l.width / 8) * static_cast<size_t>(l.height / 8) * kLatentChannels;
  const auto finite = [](float v) { return std::isfinite(v); };
  if (l.data.size() != expected || !std::all_of(l.data.begin(), l.data.end(), finite)) {
    return Usage("latents {}: expected {} finite values for {}x{} pixels, got {}{}", i + 1,
                 expected, l.width, l.height, l.data.size(),
                 l.data.size() == expected ? " of which some are not" : "");
  }
  return Status();
}

// The size reference i is brought to. The first sets the area that the others follow (product 2).
Size ReferenceSize(const EditRequest& r, size_t i, const ModelDefaults& model,
                   const LikeProfile& like, Size first, const EditLimits& limits) {
  if (HasLatents(r, i)) return {r.latents[i].width, r.latents[i].height};
  const Size file{r.images[i].width, r.images[i].height};
  if (r.keep_reference_size) return FlooredTo(file, limits.multiple);
  if (like.reference == ReferenceFit::kNearestArea) {
    const Size square = SquareOf(model.preferred_sizes);
    const int64_t area = int64_t{square.width} * square.height;
    return ScaledToArea(file, std::min(area, int64_t{file.width} * file.height), limits.multiple);
  }
  if (i > 0) return ScaledToArea(file, int64_t{first.width} * first.height, limits.multiple);
  // Diffusers takes the ratio of the size floored to 16, BFL and ComfyUI of the file's own.
  const bool floored = like.output == OutputFit::kModelArea;
  return NearestPreferred(floored ? FlooredTo(file, limits.multiple) : file, model.preferred_sizes);
}

Size OutputSize(const EditRequest& r, const EditPlan& plan, const ModelDefaults& model,
                const EditLimits& limits) {
  const Size square = SquareOf(model.preferred_sizes);
  if (plan.like->output == OutputFit::kModelArea) {
    return DiffusersSize(r.size.value_or(square), int64_t{square.width} * square.height,
                         limits.multiple);
  }
  if (r.size) return *r.size;
  if (r.images.empty()) return model.preferred_sizes.front();
  if (plan.like->output == OutputFit::kFileUp) {
    return RaisedTo({r.images[0].width, r.images[0].height}, limits.multiple);
  }
  return plan.reference_sizes.front();
}

uint64_t DrawSeed() {
  std::random_device device;
  return device() &
         0x7FFFFFFFu;  // short enough to type, and torch's generator takes 32 bits anyway
}

}  // namespace

bool HasLatents(const EditRequest& request, size_t i) {
  return i < request.latents.size() && !request.latents[i].data.empty();
}

std::string NameOf(Mode mode) {
  switch (mode) {
    case Mode::kExact:
      return "exact";
    case Mode::kDefault:
      return "default";
    case Mode::kBalanced:
      return "balanced";
    case Mode::kFast:
      return "fast";
  }
  return "";  // not reached: every case returns
}

Precision PrecisionOf(Mode mode) {
  return mode == Mode::kExact ? Precision::kExact : Precision::kInt8;
}

Status CheckSize(Size s, const EditLimits& limits) {
  if (s.width % limits.multiple != 0 || s.height % limits.multiple != 0) {
    const Size fits = FlooredTo(s, limits.multiple);
    return Usage("size {}x{}: both sides must be multiples of {}; {}x{} would do", s.width,
                 s.height, limits.multiple, fits.width, fits.height);
  }
  if (s.width < limits.min_side || s.height < limits.min_side || s.width > limits.max_side ||
      s.height > limits.max_side || int64_t{s.width} * s.height > limits.max_pixels) {
    return Usage("size {}x{}: sides must be {}..{} and at most {} pixels in all", s.width, s.height,
                 limits.min_side, limits.max_side, limits.max_pixels);
  }
  return Status();
}

Result<EditPlan> PlanEdit(const EditRequest& request, const ModelDefaults& model,
                          const EditLimits& limits) {
  KX_RETURN_IF_ERROR(CheckNumbers(request, limits));
  KX_RETURN_IF_ERROR(CheckPictures(request));
  if (request.size) KX_RETURN_IF_ERROR(CheckSize(*request.size, limits));

  EditPlan plan;
  KX_RETURN_IF_ERROR(CheckMask(request, limits, plan.notes));
  plan.like = &ProfileOf(request.like);
  const FewStep* few = model.few_step;
  plan.steps = request.steps.value_or(few ? few->steps : plan.like->steps.value_or(model.steps));
  plan.step_plan = PlanSteps(request.mode, plan.steps);
  plan.guidance =
      request.guidance.value_or(few ? few->guidance : plan.like->guidance.value_or(model.guidance));
  plan.two_passes = request.negative.has_value() && request.true_cfg > 1.0f;
  plan.seed = request.seed ? *request.seed : DrawSeed();
  for (size_t i = 0; i < request.images.size(); ++i) {
    KX_RETURN_IF_ERROR(CheckLatents(request, i, limits));
    const Size first = i == 0 ? Size{} : plan.reference_sizes.front();
    plan.reference_sizes.push_back(ReferenceSize(request, i, model, *plan.like, first, limits));
    KX_RETURN_IF_ERROR(CheckSize(plan.reference_sizes.back(), limits));
    const Size from{request.images[i].width, request.images[i].height},
        to = plan.reference_sizes.back();
    if (from != to && !HasLatents(request, i)) {
      plan.notes.push_back(fmt::format("reference {}: {}x{} scaled to {}x{}", i + 1, from.width,
                                       from.height, to.width, to.height));
    }
  }
  plan.size = OutputSize(request, plan, model, limits);
  KX_RETURN_IF_ERROR(CheckSize(plan.size, limits));
  if (request.size && plan.size != *request.size) {
    plan.notes.push_back(fmt::format("--like {} turns {}x{} into {}x{}", plan.like->name,
                                     request.size->width, request.size->height, plan.size.width,
                                     plan.size.height));
  }
  if (request.negative && !plan.two_passes) {
    plan.notes.push_back("the negative prompt has no effect at true-cfg 1 or below");
  }
  return plan;
}

}  // namespace kontext
