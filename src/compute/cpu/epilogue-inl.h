// What becomes of finished products: Epilogue (panels.h), by vectors. Included once per Highway
// target.
#include "compute/cpu/panels.h"
#include "compute/cpu/simd-inl.h"

#if defined(KONTEXT_COMPUTE_CPU_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KONTEXT_COMPUTE_CPU_EPILOGUE_INL_H_
#undef KONTEXT_COMPUTE_CPU_EPILOGUE_INL_H_
#else
#define KONTEXT_COMPUTE_CPU_EPILOGUE_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace kontext {
namespace cpu {
namespace HWY_NAMESPACE {

// One vector of a finished row: n values (at most a vector) from column c on.
HWY_INLINE VF Finished(const Epilogue& e, VF x, InRow addend, int64_t c, size_t n) {
  if (e.bias != nullptr) x = hn::Add(x, LoadRow({e.bias, DType::kF32}, c, n));
  x = Activated(DF(), e.act, x);
  if (addend.data == nullptr) return x;
  const VF y = LoadRow(addend, c, n);
  return e.gate != nullptr ? hn::MulAdd(LoadRow({e.gate, DType::kF32}, c, n), x, y) : hn::Add(x, y);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace cpu
}  // namespace kontext
HWY_AFTER_NAMESPACE();

#endif  // the toggle
