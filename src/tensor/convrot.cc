#include "tensor/convrot.h"

namespace kontext {
namespace {

// H4 on the four values that lie `kStride` apart: with s half their sum, its rows are s minus the
// fourth, the third, the second and the first of them.
template <int64_t kStride>
void Pass(float* x) {
  for (int64_t block = 0; block < kRotationGroup; block += 4 * kStride) {
    float* const a = x + block;
    for (int64_t i = 0; i < kStride; ++i) {
      const float v0 = a[i], v1 = a[i + kStride], v2 = a[i + 2 * kStride], v3 = a[i + 3 * kStride];
      const float s = 0.5f * ((v0 + v1) + (v2 + v3));
      a[i] = s - v3;
      a[i + kStride] = s - v2;
      a[i + 2 * kStride] = s - v1;
      a[i + 3 * kStride] = s - v0;
    }
  }
}

}  // namespace

void RotateGroup(float* x) {
  Pass<1>(x);
  Pass<4>(x);
  Pass<16>(x);
  Pass<64>(x);
}

}  // namespace kontext
