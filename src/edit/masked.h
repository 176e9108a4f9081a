// Masked: what an edit with a mask does along its way. Without a mask every call does nothing.
#ifndef KONTEXT_EDIT_MASKED_H_
#define KONTEXT_EDIT_MASKED_H_

#include "compute/ops.h"
#include "edit/mask.h"
#include "edit/plan.h"
#include "edit/references.h"
#include "edit/tokens.h"
#include "model/model.h"
#include "tensor/arena.h"

namespace kontext {

class Masked {
 public:
  // Before the work: the weights of the pixels.
  static Result<Masked> Prepare(const EditRequest& request);

  // The picture's own latents at the output's size, and which tokens' values may leave them.
  Status TakePicture(const Model& model, Ops& ops, const EditRequest& request, const EditPlan& plan,
                     const References& references, Reporter& report);
  // Remembers a picture's noise [Ti, 64].
  Status TakeNoise(ConstTensorView noise);
  // After a step that led to noise level sigma, in what must stay: x <- sigma * noise +
  // (1 - sigma) * picture, its own way to that level (spec architecture 12; sigma 0 leaves the
  // picture). x [Ti, 64].
  void Hold(float sigma, TensorView x) const;
  // The edit put into the picture.
  Result<Pixels> Finish(const EditRequest& request, Pixels edit) const;

  bool active() const { return active_; }
  int64_t pixels() const {
    return std::ssize(weights_.values);
  }  // of the picture; 0 without a mask

 private:
  bool active_ = false;
  MaskWeights weights_;
  Tensor free_;     // [Ti, 64] F32: 1 may change, 0 stays
  Tensor picture_;  // [Ti, 64] F32
  Tensor noise_;    // [Ti, 64] F32
};

}  // namespace kontext

#endif  // KONTEXT_EDIT_MASKED_H_
