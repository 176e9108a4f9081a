// The table of contents of kontext.cpp: an edit, step by numbered step.
#include "edit/edit.h"

#include <chrono>
#include <memory>

#include "base/process_memory.h"
#include "base/rng.h"
#include "dit/dit.h"
#include "edit/denoise.h"
#include "edit/masked.h"
#include "edit/memory.h"
#include "edit/plan.h"
#include "edit/prepare_image.h"
#include "edit/prompt.h"
#include "edit/prompt_cache.h"
#include "edit/recipe.h"
#include "edit/references.h"
#include "edit/reporter.h"
#include "edit/resume.h"
#include "edit/schedule.h"
#include "edit/tokens.h"
#include "io/mapped_ranges.h"
#include "vae/vae.h"

namespace kontext {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Latents [h,w,16] -> u8 [8h,8w,3], with the first reference's alpha if it was kept; with a mask
// put into the first reference.
Result<Pixels> Decode(const Model& model, Ops& ops, const EditRequest& request,
                      const Masked& masked, ConstTensorView latents, Reporter& report) {
  const Shape shape{latents.dim(0) * model.vae_config.factor(),
                    latents.dim(1) * model.vae_config.factor(), 3};
  KX_ASSIGN_OR_RETURN(Tensor picture, Tensor::Allocate(DType::kF32, shape));
  KX_RETURN_IF_ERROR(
      DecodeLatents(model.vae_config, model.vae, latents, ops, &report, picture.view()));
  report.OnTensor("decoded", picture.view());
  KX_RETURN_IF_ERROR(report.CheckFinite("decoding", picture.view()));
  KX_ASSIGN_OR_RETURN(Pixels pixels, ToPixels(picture.view()));
  if (masked.active()) return masked.Finish(request, std::move(pixels));
  if (request.images.empty() || request.images[0].channels != 4) return pixels;
  return WithAlphaOf(request.images[0], pixels);
}

std::vector<float> ValuesOf(ConstTensorView t) {
  return {t.As<float>(), t.As<float>() + t.shape().NumElements()};
}

Result<std::shared_ptr<const Prompt>> Encode(const Model& model, const PromptIds& ids,
                                             const LikeProfile& like, int threads, Ops& ops,
                                             PromptCache* cache, Reporter& report) {
  const auto encode = [&] { return EncodePrompt(model, ids, like, ops, &report); };
  if (cache == nullptr) return encode();
  KX_ASSIGN_OR_RETURN(const std::string key, PromptKey(model, ids, like, ops, threads));
  const Shape states{std::ssize(ids.t5), model.t5_config.model}, pooled{model.clip_config.hidden};
  std::vector<std::string> notes;
  auto prompt = cache->Get(key, states, pooled, encode, notes);
  report.Notes(notes);
  return prompt;
}

// The instruction, and the negative one of true CFG.
struct PromptsIds {
  PromptIds prompt, negative;
};

struct Prompts {
  std::shared_ptr<const Prompt> prompt, negative;  // negative: null without true CFG
};

Result<PromptsIds> Tokenize(const Model& model, const EditRequest& request, const EditPlan& plan,
                            Reporter& report) {
  PromptsIds ids;
  KX_ASSIGN_OR_RETURN(ids.prompt, TokenizePrompt(model, request.prompt, *plan.like));
  report.Notes(ids.prompt.notes);
  if (plan.two_passes) {
    KX_ASSIGN_OR_RETURN(ids.negative, TokenizePrompt(model, *request.negative, *plan.like));
  }
  return ids;
}

Result<Prompts> EncodeBoth(const Model& model, const PromptsIds& ids, const EditPlan& plan,
                           int threads, Ops& ops, PromptCache* cache, Reporter& report) {
  Prompts both;
  KX_ASSIGN_OR_RETURN(both.prompt,
                      Encode(model, ids.prompt, *plan.like, threads, ops, cache, report));
  report.OnTensor("prompt.states", both.prompt->states.view());
  report.OnTensor("prompt.pooled", both.prompt->pooled.view());
  KX_RETURN_IF_ERROR(report.CheckFinite("encoding the prompt", both.prompt->states.view()));
  if (plan.two_passes) {
    KX_ASSIGN_OR_RETURN(both.negative,
                        Encode(model, ids.negative, *plan.like, threads, ops, cache, report));
  }
  return both;
}

struct Runs {
  std::unique_ptr<DitRun> prompt, negative;  // negative: null without true CFG
};

// `inputs` are the prompt's.
Result<Runs> CreateRuns(const Model& model, DitInputs inputs,
                        const std::shared_ptr<const Prompt>& negative, Ops& ops, Reporter& report) {
  Runs runs;
  KX_ASSIGN_OR_RETURN(runs.prompt,
                      DitRun::Create(model.dit_config, model.dit, inputs, ops, &report));
  if (negative) {
    inputs.txt = negative->states.view();
    inputs.pooled = negative->pooled.view();
    KX_ASSIGN_OR_RETURN(runs.negative,
                        DitRun::Create(model.dit_config, model.dit, inputs, ops, &report));
  }
  return runs;
}

Result<std::vector<Edited>> Run(const Model& model, Ops& ops, const EditRequest& request,
                                int64_t memory_limit, int threads, const EditWatch& watch,
                                PromptCache* cache, const StepPlan* step_plan) {
  // 1. The request, with every default filled in: sizes, steps, guidance, seed.
  KX_ASSIGN_OR_RETURN(EditPlan plan, PlanEdit(request, model.defaults, EditLimits{}));
  if (step_plan != nullptr) plan.step_plan = *step_plan;
  KX_ASSIGN_OR_RETURN(const Start start, CheckResume(request, plan));
  KX_ASSIGN_OR_RETURN(Masked masked, Masked::Prepare(request));
  Reporter report(watch, plan, request, model.paths);
  report.Notes(plan.notes);

  // 2. The instruction: T5 states [Tt, context] and CLIP's pooled vector [vec].
  report.Enter(Stage::kPrompt);
  KX_ASSIGN_OR_RETURN(const PromptsIds prompts_ids, Tokenize(model, request, plan, report));
  const int64_t text_tokens = std::ssize(prompts_ids.prompt.t5);  // Tt
  ops.SetPrecision(PrecisionOf(request.mode));
  KX_RETURN_IF_ERROR(ReserveMemory(plan, model,
                                   {.text_tokens = text_tokens,
                                    .negative_tokens = std::ssize(prompts_ids.negative.t5),
                                    .pictures = request.count,
                                    .previews = request.previews,
                                    .masked_pixels = masked.pixels()},
                                   ops, memory_limit));
  KX_ASSIGN_OR_RETURN(const Prompts prompts,
                      EncodeBoth(model, prompts_ids, plan, threads, ops, cache, report));

  // 3. The references: pictures -> latents [H/8, W/8, 16] -> tokens [Tr, 64], clean through all
  // steps.
  report.Enter(Stage::kReferences);
  KX_ASSIGN_OR_RETURN(const References references,
                      EncodeReferences(model, ops, request, plan, report));
  KX_RETURN_IF_ERROR(masked.TakePicture(model, ops, request, plan, references, report));
  if (request.previews) KX_RETURN_IF_ERROR(report.FitPreview(model, ops));
  ReleaseFreedMemory();  // of text and autoencoder, so that the plan's stages do not add up

  // 4. Positions (index, y, x) of text, target and reference tokens, in that order.
  const Grid target{plan.size.height / 16, plan.size.width / 16};
  const int64_t target_tokens = target.count(), width = model.dit_config.in_channels;  // Ti, 64
  const std::vector<TokenId> ids = MakeIds(text_tokens, target, references.grids);

  // 5. The noise levels: mu from the target tokens alone.
  const std::vector<float> sigmas =
      plan.like->fixed_shift
          ? MakeFixedShiftSchedule(plan.steps)
          : MakeSchedule(plan.steps, TimeShiftMu(model.scheduler, target_tokens));

  // 6. The transformer's run: what stays the same over the steps is computed here, once.
  report.Enter(Stage::kSteps);
  const DitInputs inputs{prompts.prompt->states.view(),
                         prompts.prompt->pooled.view(),
                         ids,
                         target_tokens,
                         {sigmas.begin(), sigmas.end() - 1},
                         plan.guidance,
                         plan.like->precision,
                         Reuses(plan.step_plan)};
  KX_ASSIGN_OR_RETURN(Runs runs, CreateRuns(model, inputs, prompts.negative, ops, report));

  std::vector<Edited> pictures;
  KX_ASSIGN_OR_RETURN(Tensor tokens,
                      Tensor::Allocate(DType::kF32, {target_tokens + references.count(), width}));
  KX_ASSIGN_OR_RETURN(Tensor latents,
                      Tensor::Allocate(DType::kF32, {2 * target.rows, 2 * target.cols, width / 4}));
  references.CopyTo(tokens.view().Rows(target_tokens, target_tokens + references.count()));
  for (int i = start.picture; i < request.count; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t seed = plan.seed + static_cast<uint64_t>(i);
    const int first_step = i == start.picture ? start.step : 0;
    report.BeginPicture(i, first_step);

    // 7. Noise [16, H/8, W/8] -> tokens [Ti, 64], in front of the references.
    const TensorView x = tokens.view().Rows(0, target_tokens);
    PackPlanes(DrawNormal(plan.like->noise, seed, x.shape().NumElements()), target, x);
    report.OnTensor("noise", x);
    KX_RETURN_IF_ERROR(masked.TakeNoise(x));
    if (first_step > 0) KX_RETURN_IF_ERROR(RestoreLatents(*request.resume, x));

    // 8. The Euler loop; a mask holds what must stay to its own way.
    const auto hold = [&](float sigma, TensorView at) { masked.Hold(sigma, at); };
    KX_RETURN_IF_ERROR(Denoise({runs.prompt.get(), runs.negative.get(), request.true_cfg, sigmas,
                                plan.step_plan, first_step, hold},
                               tokens.view(), target_tokens,
                               [&](const StepDone& done) { report.Step(done, target); }));

    // 9. Tokens -> latents -> picture. The last one has the run's memory for itself.
    report.Enter(Stage::kDecode);
    if (i + 1 == request.count) {
      runs = {};
      ReleaseFreedMemory();
    }
    Unpack(x, latents.view());
    KX_ASSIGN_OR_RETURN(Pixels pixels, Decode(model, ops, request, masked, latents.view(), report));
    const Size size{pixels.width, pixels.height};
    KX_ASSIGN_OR_RETURN(std::string recipe,
                        MakeRecipe(request, plan, size, seed, model, ops, threads));
    pictures.push_back({std::move(pixels),
                        seed,
                        std::move(recipe),
                        SecondsSince(begin),
                        {plan.size.width, plan.size.height, ValuesOf(latents.view())}});
    KX_RETURN_IF_ERROR(CheckUnchanged(model.paths));
    report.Picture(pictures.back());
  }
  report.Enter(Stage::kDone);
  return pictures;
}

}  // namespace

Result<std::vector<Edited>> RunEdit(const Model& model, Ops& ops, const EditRequest& request,
                                    int64_t memory_limit, int threads, const EditWatch& watch,
                                    PromptCache* cache, const StepPlan* step_plan) {
  auto pictures = Run(model, ops, request, memory_limit, threads, watch, cache, step_plan);
  // Numbers read of a file that was cut short are zeros: whatever came of them, this is the reason.
  KX_RETURN_IF_ERROR(CheckUnchanged(model.paths));
  return pictures;
}

}  // namespace kontext
