#include "edit/references.h"

#include <algorithm>

#include "edit/prepare_image.h"
#include "edit/reporter.h"

namespace kontext {

int64_t References::count() const {
  int64_t n = 0;
  for (const Grid& grid : grids) n += grid.count();
  return n;
}

void References::CopyTo(TensorView dst) const {
  float* out = dst.As<float>();
  for (const Tensor& t : tokens) {
    out = std::copy_n(t.view().As<float>(), t.shape().NumElements(), out);
  }
}

Result<References> EncodeReferences(const Model& model, Ops& ops, const EditRequest& request,
                                    const EditPlan& plan, Reporter& report) {
  References refs;
  for (size_t i = 0; i < request.images.size(); ++i) {
    KX_ASSIGN_OR_RETURN(const Pixels fitted, FitPicture(request.images[i], plan.reference_sizes[i],
                                                        plan.like->reference));
    KX_ASSIGN_OR_RETURN(const Tensor pixels, ToUnitRange(fitted));  // [H,W,3] in [-1,1]
    const Grid grid{fitted.height / 16, fitted.width / 16};
    const Shape shape{2 * grid.rows, 2 * grid.cols, model.vae_config.latent_channels};
    KX_ASSIGN_OR_RETURN(Tensor latents, Tensor::Allocate(DType::kF32, shape));
    KX_RETURN_IF_ERROR(
        EncodeLatents(model.vae_config, model.vae, pixels.view(), ops, &report, latents.view()));
    report.OnTensor(fmt::format("reference{}.pixels", i), pixels.view());
    report.OnTensor(fmt::format("reference{}.latents", i), latents.view());
    KX_RETURN_IF_ERROR(report.CheckFinite("encoding a reference", latents.view()));
    KX_ASSIGN_OR_RETURN(
        Tensor tokens, Tensor::Allocate(DType::kF32, {grid.count(), model.dit_config.in_channels}));
    Pack(latents.view(), tokens.view());
    refs.tokens.push_back(std::move(tokens));
    refs.grids.push_back(grid);
  }
  return refs;
}

}  // namespace kontext
