// ConvRot: the rotation that spreads outliers over a group of 256 columns before a weight is
// rounded to 8 bits (design of arXiv:2512.03673; ComfyUI's "convrot" with group size 256).
//
//   H4 = 1/2 [ 1  1  1 -1 ]      R = H4 (x) H4 (x) H4 (x) H4, [256, 256]
//            [ 1  1 -1  1 ]
//            [ 1 -1  1  1 ]      R = R^T and R R = I: to rotate twice is to do nothing.
//            [-1  1  1  1 ]
//
// Its rows all have the sum 1, unlike Sylvester's matrix, whose first row of ones would gather the
// outliers that a whole row of weights has in common.
#ifndef KONTEXT_TENSOR_CONVROT_H_
#define KONTEXT_TENSOR_CONVROT_H_

#include <cstdint>

namespace kontext {

inline constexpr int64_t kRotationGroup = 256;

// x[0 .. 256) <- R x, as four passes of H4: 8 operations an element, no multiplication by a table.
void RotateGroup(float* x);

}  // namespace kontext

#endif  // KONTEXT_TENSOR_CONVROT_H_
