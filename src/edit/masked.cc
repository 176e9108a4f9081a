#include "edit/masked.h"

#include <algorithm>

#include "edit/prepare_image.h"
#include "edit/reporter.h"

namespace kontext {

Result<Masked> Masked::Prepare(const EditRequest& request) {
  Masked masked;
  if (!request.mask) return masked;
  masked.active_ = true;
  KX_ASSIGN_OR_RETURN(masked.weights_, WeighMask(request));
  return masked;
}

Status Masked::TakePicture(const Model& model, Ops& ops, const EditRequest& request,
                           const EditPlan& plan, const References& references, Reporter& report) {
  if (!active_) return Status();
  const Grid grid{plan.size.height / 16, plan.size.width / 16};
  const int64_t channels = model.vae_config.latent_channels;
  const Shape tokens{grid.count(), model.dit_config.in_channels};
  KX_ASSIGN_OR_RETURN(picture_, Tensor::Allocate(DType::kF32, tokens));
  KX_ASSIGN_OR_RETURN(free_, Tensor::Allocate(DType::kF32, tokens));
  KX_ASSIGN_OR_RETURN(noise_, Tensor::Allocate(DType::kF32, tokens));
  KX_ASSIGN_OR_RETURN(Tensor latents,
                      Tensor::Allocate(DType::kF32, {2 * grid.rows, 2 * grid.cols, channels}));

  const std::vector<float> cells = weights_.Cells(2 * grid.rows, 2 * grid.cols);
  float* value = latents.view().As<float>();
  for (const float cell : cells) value = std::fill_n(value, channels, cell);
  Pack(latents.view(), free_.view());

  const bool same = plan.reference_sizes[0] == plan.size &&
                    (HasLatents(request, 0) || plan.like->reference == ReferenceFit::kPreferred);
  if (same) {  // the first reference is the picture as the target sees it
    std::copy_n(references.tokens[0].view().As<float>(), tokens.NumElements(),
                picture_.view().As<float>());
    return Status();
  }
  KX_ASSIGN_OR_RETURN(const Pixels fitted,
                      FitPicture(request.images[0], plan.size, ReferenceFit::kPreferred));
  KX_ASSIGN_OR_RETURN(const Tensor pixels, ToUnitRange(fitted));
  KX_RETURN_IF_ERROR(
      EncodeLatents(model.vae_config, model.vae, pixels.view(), ops, &report, latents.view()));
  Pack(latents.view(), picture_.view());
  return report.CheckFinite("encoding the picture", picture_.view());
}

Status Masked::TakeNoise(ConstTensorView noise) {
  if (!active_) return Status();
  KX_ENSURE(noise.shape() == noise_.shape());
  std::copy_n(noise.As<float>(), noise.shape().NumElements(), noise_.view().As<float>());
  return Status();
}

void Masked::Hold(float sigma, TensorView x) const {
  if (!active_) return;
  const float *free = free_.view().As<float>(), *picture = picture_.view().As<float>(),
              *noise = noise_.view().As<float>();
  float* values = x.As<float>();
  for (int64_t i = 0; i < x.shape().NumElements(); ++i) {
    if (free[i] == 0) values[i] = sigma * noise[i] + (1 - sigma) * picture[i];
  }
}

Result<Pixels> Masked::Finish(const EditRequest& request, Pixels edit) const {
  if (!active_) return edit;
  return PasteBack(request.images[0], edit, weights_);
}

}  // namespace kontext
