// Latents <-> tokens, and the position of every token (spec architecture 5).
#ifndef KONTEXT_EDIT_TOKENS_H_
#define KONTEXT_EDIT_TOKENS_H_

#include <vector>

#include "dit/dit.h"
#include "tensor/view.h"

namespace kontext {

// A picture's tokens: rows x cols of them, one per 2 x 2 latents, i.e. per 16 x 16 pixels.
struct Grid {
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t count() const { return rows * cols; }
};

// latents [2*rows, 2*cols, C] F32 -> tokens [rows*cols, 4*C] F32, channel = c*4 + dy*2 + dx
// (BFL rearrange "b c (h ph) (w pw) -> b (h w) (c ph pw)").
void Pack(ConstTensorView latents, TensorView tokens);
// The inverse.
void Unpack(ConstTensorView tokens, TensorView latents);
// The same for noise, which every program draws as planes: [C, 2*rows, 2*cols].
void PackPlanes(const std::vector<float>& planes, Grid grid, TensorView tokens);

// Text 0,0,0; target 0,y,x; references 1,y,x, the second and later ones moved down or right so that
// they do not overlap (ComfyUI's "offset", spec architecture 5.1; one reference equals BFL's).
std::vector<TokenId> MakeIds(int64_t text_tokens, Grid target, const std::vector<Grid>& references);

}  // namespace kontext

#endif  // KONTEXT_EDIT_TOKENS_H_
