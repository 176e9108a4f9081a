// Which pixels of the picture an edit may change, and putting the others back (docs/masks.md).
#ifndef KONTEXT_EDIT_MASK_H_
#define KONTEXT_EDIT_MASK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "kontext/request.h"

namespace kontext {

// kUsage for a mask that cannot be used with this request; `notes` gets what was done to it.
Status CheckMask(const EditRequest& request, const EditLimits& limits,
                 std::vector<std::string>& notes);

// How much of the edit each pixel of the picture takes: 0 none, 255 all.
struct MaskWeights {
  Size size;                    // of the picture
  std::vector<uint8_t> values;  // [height, width]

  // [rows, cols]: 1 where any pixel under that cell of a grid over the picture may change, else 0.
  std::vector<float> Cells(int64_t rows, int64_t cols) const;
};

// The mask at the picture's size, falling off towards black over feather_px: mask * min(1,
// d / (feather_px + 1)), d the distance to the nearest black pixel. So black stays black whatever
// the feather. kUsage if no pixel is left that may change.
Result<MaskWeights> WeighMask(const EditRequest& request);

// The picture with the edit (3 channels, any size; scaled to the picture's by Lanczos) where the
// weights say so; alpha stays the picture's. Where the weight is 0, bytes are the picture's own.
Result<Pixels> PasteBack(const Pixels& picture, const Pixels& edit, const MaskWeights& weights);

}  // namespace kontext

#endif  // KONTEXT_EDIT_MASK_H_
