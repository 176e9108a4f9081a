#include "compute/reference/access.h"
#include "compute/reference/activation.h"
#include "compute/reference/reference_ops.h"
#include "compute/reference/walk.h"

namespace kontext {

void ReferenceOps::DoActivate(ConstTensorView src, Activation act, TensorView dst) {
  Walk<2>({src, dst}, dst.rank(),
          [&](const auto& at) { Store(dst, at[1], Activated(act, Load(src, at[0]))); });
}

void ReferenceOps::DoAdd(ConstTensorView a, ConstTensorView b, TensorView dst) {
  Walk<3>({a, b, dst}, dst.rank(),
          [&](const auto& at) { Store(dst, at[2], Load(a, at[0]) + Load(b, at[1])); });
}

void ReferenceOps::DoMultiply(ConstTensorView a, ConstTensorView b, TensorView dst) {
  Walk<3>({a, b, dst}, dst.rank(),
          [&](const auto& at) { Store(dst, at[2], Load(a, at[0]) * Load(b, at[1])); });
}

void ReferenceOps::DoGatedAdd(ConstTensorView src, ConstTensorView gate, TensorView dst) {
  for (int64_t t = 0; t < dst.dim(0); ++t) {
    for (int64_t d = 0; d < dst.dim(1); ++d) {
      const int64_t to = t * dst.stride(0) + d;
      const double g = gate.empty() ? 1.0 : Load(gate, d);
      Store(dst, to, Load(dst, to) + g * Load(src, t * src.stride(0) + d));
    }
  }
}

void ReferenceOps::DoCopy(ConstTensorView src, TensorView dst) {
  Walk<2>({src, dst}, dst.rank(), [&](const auto& at) { Store(dst, at[1], Load(src, at[0])); });
}

void ReferenceOps::DoGatherRows(ConstTensorView table, ConstTensorView ids, TensorView dst) {
  for (int64_t t = 0; t < dst.dim(0); ++t) {
    const int64_t from = ids.As<int32_t>()[t] * table.stride(0);
    for (int64_t d = 0; d < dst.dim(1); ++d) {
      Store(dst, t * dst.stride(0) + d, Load(table, from + d));
    }
  }
}

}  // namespace kontext
