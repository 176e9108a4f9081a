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

namespace {

// Reference i as latents [2 * rows, 2 * cols, z]: the request's own, or encoded.
Result<Tensor> LatentsOf(const Model& model, Ops& ops, const EditRequest& request,
                         const EditPlan& plan, size_t i, Reporter& report) {
  const Size size = plan.reference_sizes[i];
  const Shape shape{size.height / 8, size.width / 8, model.vae_config.latent_channels};
  KX_ASSIGN_OR_RETURN(Tensor latents, Tensor::Allocate(DType::kF32, shape));
  if (HasLatents(request, i)) {
    const std::vector<float>& data = request.latents[i].data;
    KX_ENSURE(std::ssize(data) == shape.NumElements());
    std::copy(data.begin(), data.end(), latents.view().As<float>());
    return latents;
  }
  KX_ASSIGN_OR_RETURN(const Pixels fitted,
                      FitPicture(request.images[i], size, plan.like->reference));
  KX_ASSIGN_OR_RETURN(const Tensor pixels, ToUnitRange(fitted));  // [H,W,3] in [-1,1]
  report.OnTensor(fmt::format("reference{}.pixels", i), pixels.view());
  KX_RETURN_IF_ERROR(
      EncodeLatents(model.vae_config, model.vae, pixels.view(), ops, &report, latents.view()));
  return latents;
}

}  // namespace

Result<References> EncodeReferences(const Model& model, Ops& ops, const EditRequest& request,
                                    const EditPlan& plan, Reporter& report) {
  References refs;
  for (size_t i = 0; i < request.images.size(); ++i) {
    const Grid grid{plan.reference_sizes[i].height / 16, plan.reference_sizes[i].width / 16};
    KX_ASSIGN_OR_RETURN(const Tensor latents, LatentsOf(model, ops, request, plan, i, report));
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
