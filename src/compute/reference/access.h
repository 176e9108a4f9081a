// How the reference backend reads and writes elements: any float dtype in, double arithmetic, and
// at the store one rounding to the op's F32 result (which a narrower dst then rounds, see ops.h).
#ifndef KONTEXT_COMPUTE_REFERENCE_ACCESS_H_
#define KONTEXT_COMPUTE_REFERENCE_ACCESS_H_

#include <cstdint>

#include "base/bf16.h"
#include "compute/f16.h"
#include "tensor/view.h"

namespace kontext {

// Element `offset` (in elements from the first).
inline double Load(const ConstTensorView& v, int64_t offset) {
  switch (v.dtype()) {
    case DType::kBF16:
      return static_cast<double>(ToFloat(v.As<BF16>()[offset]));
    case DType::kF16:
      return static_cast<double>(ToFloat(v.As<F16>()[offset]));
    default:
      return static_cast<double>(v.As<float>()[offset]);
  }
}

inline void Store(const TensorView& v, int64_t offset, double value) {
  const float rounded = static_cast<float>(value);
  switch (v.dtype()) {
    case DType::kBF16:
      v.As<BF16>()[offset] = ToBF16(rounded);
      return;
    case DType::kF16:
      v.As<F16>()[offset] = ToF16(rounded);
      return;
    default:
      v.As<float>()[offset] = rounded;
  }
}

// n dense elements from `offset` on.
inline void LoadRow(const ConstTensorView& v, int64_t offset, int64_t n, double* row) {
  if (v.dtype() == DType::kF32) {  // the same values, but a loop the compiler vectorises
    const float* from = v.As<float>() + offset;
    for (int64_t i = 0; i < n; ++i) row[i] = static_cast<double>(from[i]);
    return;
  }
  for (int64_t i = 0; i < n; ++i) row[i] = Load(v, offset + i);
}

inline void StoreRow(const TensorView& v, int64_t offset, int64_t n, const double* row) {
  for (int64_t i = 0; i < n; ++i) Store(v, offset + i, row[i]);
}

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REFERENCE_ACCESS_H_
