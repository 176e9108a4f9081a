#include "edit/prepare_image.h"

#include <algorithm>
#include <cmath>

#include "io/resize.h"

namespace kontext {
namespace {

Pixels OverWhite(const Pixels& p) {
  if (p.channels == 3) return p;
  Pixels out{p.width, p.height, 3, {}};
  out.data.resize(p.data.size() / 4 * 3);
  for (size_t i = 0, n = p.data.size() / 4; i < n; ++i) {
    const unsigned alpha = p.data[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) {
      const unsigned value = p.data[4 * i + c] * alpha + 255u * (255u - alpha);
      out.data[3 * i + c] = static_cast<uint8_t>((value + 127u) / 255u);
    }
  }
  return out;
}

// ComfyUI's common_upscale(crop="center"): the middle part that has the target's aspect.
Result<Pixels> CropToAspect(const Pixels& p, Size size) {
  const double old_aspect = static_cast<double>(p.width) / p.height;
  const double new_aspect = static_cast<double>(size.width) / size.height;
  int x = 0, y = 0;
  if (old_aspect > new_aspect) {
    x = static_cast<int>(std::nearbyint((p.width - p.width * (new_aspect / old_aspect)) / 2));
  } else if (old_aspect < new_aspect) {
    y = static_cast<int>(std::nearbyint((p.height - p.height * (old_aspect / new_aspect)) / 2));
  }
  x = std::min(x, (p.width - 1) / 2);
  y = std::min(y, (p.height - 1) / 2);
  return Crop(p, x, y, p.width - 2 * x, p.height - 2 * y);
}

}  // namespace

Result<Pixels> FitPicture(const Pixels& picture, Size size, ReferenceFit fit) {
  const Pixels rgb = OverWhite(picture);
  if (fit == ReferenceFit::kNearestArea) return ResizeNearest(rgb, size.width, size.height);
  if (fit == ReferenceFit::kPreferred) return ResizeLanczos(rgb, size.width, size.height);
  KX_ASSIGN_OR_RETURN(const Pixels middle, CropToAspect(rgb, size));
  return ResizeLanczos(middle, size.width, size.height);
}

Result<Tensor> ToUnitRange(const Pixels& picture) {
  KX_ASSIGN_OR_RETURN(Tensor t, Tensor::Allocate(DType::kF32, {picture.height, picture.width, 3}));
  float* out = t.view().As<float>();
  for (size_t i = 0; i < picture.data.size(); ++i) {
    out[i] = 2.0f * (static_cast<float>(picture.data[i]) / 255.0f) - 1.0f;
  }
  return t;
}

Result<Pixels> ToPixels(ConstTensorView picture) {
  KX_ENSURE(picture.rank() == 3 && picture.dim(2) == 3 && picture.dtype() == DType::kF32 &&
            picture.IsDense());
  Pixels out{static_cast<int>(picture.dim(1)), static_cast<int>(picture.dim(0)), 3, {}};
  out.data.resize(static_cast<size_t>(picture.shape().NumElements()));
  const float* in = picture.As<float>();
  for (size_t i = 0; i < out.data.size(); ++i) {
    const float unit = std::clamp(in[i] * 0.5f + 0.5f, 0.0f, 1.0f);
    out.data[i] = static_cast<uint8_t>(std::nearbyint(unit * 255.0f));
  }
  return out;
}

Result<Pixels> WithAlphaOf(const Pixels& alpha_from, const Pixels& picture) {
  Pixels grey{
      alpha_from.width, alpha_from.height, 3, {}};  // alpha as a grey picture, so it resizes alike
  grey.data.resize(alpha_from.data.size() / 4 * 3);
  for (size_t i = 0; i < grey.data.size(); ++i) grey.data[i] = alpha_from.data[i / 3 * 4 + 3];
  KX_ASSIGN_OR_RETURN(const Pixels alpha, ResizeLanczos(grey, picture.width, picture.height));
  Pixels out{picture.width, picture.height, 4, {}};
  out.data.resize(picture.data.size() / 3 * 4);
  for (size_t i = 0, n = picture.data.size() / 3; i < n; ++i) {
    for (size_t c = 0; c < 3; ++c) out.data[4 * i + c] = picture.data[3 * i + c];
    out.data[4 * i + 3] = alpha.data[3 * i];
  }
  return out;
}

}  // namespace kontext
