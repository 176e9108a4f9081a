// A reference picture -> the pixels the autoencoder sees (spec architecture 3).
#ifndef KONTEXT_EDIT_PREPARE_IMAGE_H_
#define KONTEXT_EDIT_PREPARE_IMAGE_H_

#include "base/status.h"
#include "edit/likes.h"
#include "kontext/request.h"
#include "tensor/arena.h"

namespace kontext {

// 3 channels at `size`: resized (and cropped) by the profile's rule. Alpha is laid over white.
Result<Pixels> FitPicture(const Pixels& picture, Size size, ReferenceFit fit);

// [H,W,3] u8 -> [H,W,3] F32 in [-1,1]: 2*(x/255) - 1 (Diffusers image_processor.py).
Result<Tensor> ToUnitRange(const Pixels& picture);

// [H,W,3] F32 -> u8: clamp(x/2 + 1/2, 0, 1) * 255, rounded half to even (Diffusers; BFL truncates).
Result<Pixels> ToPixels(ConstTensorView picture);

// The alpha channel of `alpha_from` (4 channels), resized to the size of `picture`, put onto it.
Result<Pixels> WithAlphaOf(const Pixels& alpha_from, const Pixels& picture);

}  // namespace kontext

#endif  // KONTEXT_EDIT_PREPARE_IMAGE_H_
