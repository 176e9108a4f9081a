// The table of contents of kontext.cpp: an edit, step by numbered step.
#include "edit/edit.h"

#include <chrono>
#include <optional>

#include "base/rng.h"
#include "dit/dit.h"
#include "edit/denoise.h"
#include "edit/memory.h"
#include "edit/plan.h"
#include "edit/prepare_image.h"
#include "edit/prompt.h"
#include "edit/recipe.h"
#include "edit/references.h"
#include "edit/reporter.h"
#include "edit/schedule.h"
#include "edit/tokens.h"
#include "vae/vae.h"

namespace kontext {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Latents [h,w,16] -> u8 [8h,8w,3], with the first reference's alpha if it was kept.
Result<Pixels> Decode(const Model& model, Ops& ops, const EditRequest& request,
                      ConstTensorView latents, Reporter& report) {
  const Shape shape{latents.dim(0) * model.vae_config.factor(),
                    latents.dim(1) * model.vae_config.factor(), 3};
  KX_ASSIGN_OR_RETURN(Tensor picture, Tensor::Allocate(DType::kF32, shape));
  KX_RETURN_IF_ERROR(
      DecodeLatents(model.vae_config, model.vae, latents, ops, &report, picture.view()));
  report.OnTensor("decoded", picture.view());
  KX_RETURN_IF_ERROR(report.CheckFinite("decoding", picture.view()));
  KX_ASSIGN_OR_RETURN(Pixels pixels, ToPixels(picture.view()));
  if (request.images.empty() || request.images[0].channels != 4) return pixels;
  return WithAlphaOf(request.images[0], pixels);
}

}  // namespace

Result<std::vector<Edited>> RunEdit(const Model& model, Ops& ops, const EditRequest& request,
                                    int64_t memory_limit, int threads, const EditWatch& watch) {
  // 1. The request, with every default filled in: sizes, steps, guidance, seed.
  KX_ASSIGN_OR_RETURN(const EditPlan plan, PlanEdit(request, model.defaults, EditLimits{}));
  Reporter report(watch, plan, request);
  report.Notes(plan.notes);

  // 2. The instruction: T5 states [Tt, context] and CLIP's pooled vector [vec].
  report.Enter(Stage::kPrompt);
  KX_ASSIGN_OR_RETURN(const Prompt prompt,
                      EncodePrompt(model, request.prompt, *plan.like, ops, &report));
  report.OnTensor("prompt.states", prompt.states.view());
  report.OnTensor("prompt.pooled", prompt.pooled.view());
  report.Notes(prompt.notes);
  KX_RETURN_IF_ERROR(report.CheckFinite("encoding the prompt", prompt.states.view()));
  std::optional<Prompt> negative;
  if (plan.two_passes) {
    KX_ASSIGN_OR_RETURN(negative, EncodePrompt(model, *request.negative, *plan.like, ops, &report));
  }
  const int64_t text_tokens = prompt.states.shape()[0];  // Tt
  KX_RETURN_IF_ERROR(CheckMemory(plan, model, text_tokens, ops.activation_dtype(), memory_limit));

  // 3. The references: pictures -> latents [H/8, W/8, 16] -> tokens [Tr, 64], clean through all
  // steps.
  report.Enter(Stage::kReferences);
  KX_ASSIGN_OR_RETURN(const References references,
                      EncodeReferences(model, ops, request, plan, report));

  if (request.previews) KX_RETURN_IF_ERROR(report.FitPreview(model, ops));

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
  DitInputs inputs{prompt.states.view(),
                   prompt.pooled.view(),
                   ids,
                   target_tokens,
                   {sigmas.begin(), sigmas.end() - 1},
                   plan.guidance,
                   plan.like->precision};
  report.Enter(Stage::kSteps);
  KX_ASSIGN_OR_RETURN(const auto run,
                      DitRun::Create(model.dit_config, model.dit, inputs, ops, &report));
  std::unique_ptr<DitRun> negative_run;
  if (negative) {
    inputs.txt = negative->states.view();
    inputs.pooled = negative->pooled.view();
    KX_ASSIGN_OR_RETURN(negative_run,
                        DitRun::Create(model.dit_config, model.dit, inputs, ops, &report));
  }

  std::vector<Edited> pictures;
  KX_ASSIGN_OR_RETURN(Tensor tokens,
                      Tensor::Allocate(DType::kF32, {target_tokens + references.count(), width}));
  KX_ASSIGN_OR_RETURN(Tensor latents,
                      Tensor::Allocate(DType::kF32, {2 * target.rows, 2 * target.cols, width / 4}));
  references.CopyTo(tokens.view().Rows(target_tokens, target_tokens + references.count()));
  for (int i = 0; i < request.count; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t seed = plan.seed + static_cast<uint64_t>(i);
    report.BeginPicture(i);

    // 7. Noise [16, H/8, W/8] -> tokens [Ti, 64], in front of the references.
    const TensorView x = tokens.view().Rows(0, target_tokens);
    PackPlanes(DrawNormal(plan.like->noise, seed, x.shape().NumElements()), target, x);
    report.OnTensor("noise", x);

    // 8. The Euler loop.
    KX_RETURN_IF_ERROR(Denoise({run.get(), negative_run.get(), request.true_cfg, sigmas},
                               tokens.view(), target_tokens,
                               [&](const StepDone& done) { report.Step(done, target); }));

    // 9. Tokens -> latents -> picture.
    report.Enter(Stage::kDecode);
    Unpack(x, latents.view());
    KX_ASSIGN_OR_RETURN(Pixels pixels, Decode(model, ops, request, latents.view(), report));
    pictures.push_back({std::move(pixels), seed,
                        MakeRecipe(request, plan, seed, model, ops, threads), SecondsSince(begin)});
    report.Picture(pictures.back());
  }
  report.Enter(Stage::kDone);
  return pictures;
}

}  // namespace kontext
