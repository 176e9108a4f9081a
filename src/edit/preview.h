// A small picture of what a step is heading for, without running the autoencoder's decoder.
#ifndef KONTEXT_EDIT_PREVIEW_H_
#define KONTEXT_EDIT_PREVIEW_H_

#include <array>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "kontext/request.h"
#include "model/model.h"
#include "tensor/observer.h"
#include "tensor/view.h"

namespace kontext {

// rgb = M * latent + b, fitted by least squares to one picture whose latents and pixels are both
// known, so that it suits whatever autoencoder is loaded. (Programs that hard-code such a matrix
// show false colours for any other autoencoder.)
class PreviewMap {
 public:
  static constexpr int kChartSide = 256;  // pixels of the picture it is fitted to

  PreviewMap() = default;  // not fitted

  // Fitted to a colour chart that the model's own encoder has seen.
  static Result<PreviewMap> ForModel(const Model& model, Ops& ops, Observer* observer);
  // latents [h, w, z] F32 and pixels [8h, 8w, 3] F32 in [-1,1] of the same picture.
  static PreviewMap Fit(ConstTensorView latents, ConstTensorView pixels);

  bool fitted() const { return channels_ > 0; }
  // latents [h, w, z] F32 -> [h, w] pixels of 3 channels.
  Pixels Draw(ConstTensorView latents) const;

 private:
  int64_t channels_ = 0;                       // z
  std::vector<std::array<double, 3>> matrix_;  // z + 1 rows, the last is b
};

}  // namespace kontext

#endif  // KONTEXT_EDIT_PREVIEW_H_
