// The reference backend: plain loops in double, one rounding at the store, no threads, no SIMD. It
// is the specification of every op, the oracle of tests/conformance and the fallback.
#ifndef KONTEXT_COMPUTE_REFERENCE_REFERENCE_H_
#define KONTEXT_COMPUTE_REFERENCE_REFERENCE_H_

#include <memory>

#include "compute/ops.h"

namespace kontext {

// `activations` (F32 or BF16) is only what activation_dtype() answers: the arithmetic is the same.
std::unique_ptr<Ops> MakeReferenceOps(DType activations);

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REFERENCE_REFERENCE_H_
