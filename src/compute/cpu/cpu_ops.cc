#include "compute/cpu/cpu_ops.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "compute/cpu/amx_attention.h"
#include "compute/cpu/attention.h"
#include "compute/cpu/bf16_attention.h"
#include "compute/cpu/branches.h"
#include "compute/cpu/conv.h"
#include "compute/cpu/cpu.h"
#include "compute/cpu/elementwise.h"
#include "compute/cpu/int8_attention.h"
#include "compute/cpu/int8_mlp.h"
#include "compute/cpu/int8_product.h"
#include "compute/cpu/norm.h"
#include "compute/cpu/product.h"
#include "compute/ops_guard.h"

namespace kontext {

Result<std::unique_ptr<Ops>> MakeCpuOps(const std::string& dtype) {
  return WithoutExceptions("cpu backend", [&]() -> Result<std::unique_ptr<Ops>> {
    KX_ASSIGN_OR_RETURN(const cpu::CpuFeatures features, cpu::UsableCpuFeatures());
    if (!features.sse4) {
      return Usage("backend \"cpu\" needs a processor with SSE4; use backend \"reference\" here");
    }
    return std::unique_ptr<Ops>(std::make_unique<cpu::CpuOps>(cpu::PlanFor(features, dtype)));
  });
}

namespace cpu {
namespace {

const float* Vector(const ConstTensorView& v) { return v.empty() ? nullptr : v.As<float>(); }

}  // namespace

// Every slot of the workspace stays at its largest.
int64_t CpuOps::ScratchBytes(std::span<const OpSizes> groups) const {
  SlotBytes most{};
  for (const OpSizes& s : groups) {
    SlotBytes bytes{};
    // Only on kWiden do convolutions multiply as products do.
    const bool widen = plan_.path == ProductPath::kWiden;
    if (s.width == 0 || widen) ProductSlots(PanelsFor(plan_.path), s.rows, s.in, s.out, bytes);
    // Sizes with a kernel are of convolutions, which have no branches.
    const int64_t rank = s.kernel > 0 ? 0 : largest_rank_;
    BranchSlots(plan_.path, rank, s, bytes);
    int64_t& result = bytes[static_cast<size_t>(Slot::kResult)];
    if (precision() == Precision::kInt8) {
      if (rank > 0) result = std::min(s.rows, kBranchedRows) * s.out * SizeOf(DType::kF32);
      Int8ProductSlots(plan_.int8, s.rows, s.in, s.out, bytes);
      if (s.modulated > 0 && Int8MlpTakes(plan_.int8, 0, 1)) {
        Int8MlpSlots(plan_.int8, s.rows, s.modulated, s.in, bytes);
      }
      Int8AttentionSlots(s.heads, s.queries, s.keys, s.channels, bytes);
    }
    if (widen) bytes[static_cast<size_t>(Slot::kKernel)] = s.kernel * 4 / 9 * SizeOf(DType::kF32);
    AttentionSlots(s.heads, s.queries, s.keys, s.channels, bytes);
    if (plan_.bf16_attention) {
      Bf16AttentionSlots(plan_.path == ProductPath::kAmx, s.heads, s.queries, s.keys, s.channels,
                         bytes);
    }
    int64_t& operand = bytes[static_cast<size_t>(Slot::kOperand)];
    operand = std::min(s.rows, kChunkRows) * s.modulated * SizeOf(activation_dtype());
    if (s.width > 0) {
      ConvSlots(plan_, s.rows, s.width, s.depth, bytes);
    } else if (plan_.path == ProductPath::kAmx && rank > 0) {
      result = std::max(result, s.rows * s.out * SizeOf(DType::kF32));
    } else if (plan_.path == ProductPath::kLibrary) {
      // oneDNN's scratchpads are small beside these.
      operand = s.rows * s.in * SizeOf(activation_dtype());
      // Where branches are added, any product's result, not only an addend's.
      const int64_t results = rank > 0 ? std::max(s.results, s.rows * s.out) : s.results;
      result = std::max(result, results * SizeOf(DType::kF32));
    }
    for (size_t i = 0; i < most.size(); ++i) most[i] = std::max(most[i], bytes[i]);
  }
  return std::accumulate(most.begin(), most.end(), int64_t{0});
}

Result<ConstTensorView> CpuOps::As(DType dtype, const ConstTensorView& view) {
  if (view.dtype() == dtype && view.IsDense()) return view;
  const int64_t bytes = view.shape().NumElements() * SizeOf(dtype);
  KX_ASSIGN_OR_RETURN(std::byte * memory, space_.Bytes(Slot::kOperand, bytes));
  const TensorView copy(memory, dtype, view.shape());
  CopyAll(view, copy);
  return ConstTensorView(copy);
}

void CpuOps::DoAttention(ConstTensorView q, ConstTensorView k, ConstTensorView v,
                         const AttentionOptions& o, TensorView dst) {
  const bool bf16 = plan_.bf16_attention && Bf16AttentionTakes(q, k, v, o);
  const bool amx = bf16 && plan_.path == ProductPath::kAmx && AmxAttentionTakes(q.dim(2));
  const bool int8 = o.coarsest == Precision::kInt8 && precision() == Precision::kInt8;
  // In bf16 by AMX it is faster than in 8 bits without.
  if (int8 && !amx) return Keep(AttendInt8(plan_.int8, q, k, v, o, dst, space_));
  Keep(bf16 ? AttendBf16(amx, q, k, v, o, dst, space_) : Attend(q, k, v, o, dst, space_));
}

void CpuOps::DoLayerNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias,
                         float eps, TensorView dst) {
  NormalizeRows(src, {.eps = eps, .weight = Vector(weight), .bias = Vector(bias)}, dst);
}

void CpuOps::DoRmsNorm(ConstTensorView src, ConstTensorView weight, float eps, TensorView dst) {
  NormalizeRows(src, {.eps = eps, .centred = false, .weight = Vector(weight)}, dst);
}

void CpuOps::DoGroupNorm(ConstTensorView src, ConstTensorView weight, ConstTensorView bias,
                         int groups, float eps, Activation act, TensorView dst) {
  const PictureNorm norm{weight, bias, groups, eps, act};
  NormalizePixels(src, norm, FactorsOf(src, norm), 0, src.dim(0) * src.dim(1), dst);
}

void CpuOps::DoRope(ConstTensorView src, ConstTensorView rope, TensorView dst) {
  NormAndRotateHeads({.src = src, .dst = dst, .rope = Vector(rope)});
}

void CpuOps::DoSplitHeadsNormRope(ConstTensorView src, ConstTensorView norm, float eps,
                                  ConstTensorView rope, TensorView dst) {
  ConstTensorView heads(src.data(), src.dtype(), dst.shape());  // src [T,H*Dh] seen as [H,T,Dh]
  heads.SetStride(0, dst.dim(2));
  heads.SetStride(1, src.stride(0));
  NormAndRotateHeads(
      {.src = heads, .dst = dst, .eps = eps, .norm = Vector(norm), .rope = Vector(rope)});
}

void CpuOps::DoUpsample2x(ConstTensorView src, TensorView dst) { UpsampleNearest2x(src, dst); }

void CpuOps::DoActivate(ConstTensorView src, Activation act, TensorView dst) {
  ActivateAll(src, act, dst);
}

void CpuOps::DoAdd(ConstTensorView a, ConstTensorView b, TensorView dst) {
  Combine(a, b, Arithmetic::kAdd, dst);
}

void CpuOps::DoMultiply(ConstTensorView a, ConstTensorView b, TensorView dst) {
  Combine(a, b, Arithmetic::kMultiply, dst);
}

void CpuOps::DoGatedAdd(ConstTensorView src, ConstTensorView gate, TensorView dst) {
  AddGated(src, Vector(gate), dst);
}

void CpuOps::DoCopy(ConstTensorView src, TensorView dst) { CopyAll(src, dst); }

void CpuOps::DoGatherRows(ConstTensorView table, ConstTensorView ids, TensorView dst) {
  Gather(table, ids.As<int32_t>(), dst);
}

}  // namespace cpu
}  // namespace kontext
