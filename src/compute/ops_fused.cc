// Default bodies of the fused ops, made of plain ones. Intermediates are F32, so that a body rounds
// to dst's dtype once, as a fused kernel does.
#include "compute/ops.h"

namespace kontext {

void Ops::DoLinearGatedAdd(ConstTensorView src, const LinearWeights& w, ConstTensorView gate,
                           TensorView dst) {
  const TensorView product = Scratch(DType::kF32, dst.shape());  // [T,N]
  if (product.empty()) return;
  DoLinear(src, w, Activation::kNone, product);
  DoGatedAdd(product, gate, dst);
}

// (1 + scale) * n + shift = (scale * n + shift) + n with n = LayerNorm(src)
void Ops::DoModulatedLinear(ConstTensorView src, const RowModulation& m, const LinearWeights& w,
                            Activation act, TensorView dst) {
  const TensorView both = Scratch(DType::kF32, {2, src.dim(0), src.dim(1)});
  if (both.empty()) return;
  DoLayerNorm(src, m.scale, m.shift, m.eps, both.At(0));
  DoLayerNorm(src, ConstTensorView(), ConstTensorView(), m.eps, both.At(1));
  DoAdd(both.At(0), both.At(1), both.At(0));
  DoLinear(both.At(0), w, act, dst);
}

void Ops::DoModulatedMlp(TensorView operand, const RowModulation& m, const LinearWeights& in,
                         const LinearWeights& out, ConstTensorView gate, TensorView dst) {
  const TensorView hidden =
      operand.Cols(operand.dim(1) - in.out_features, operand.dim(1));  // [T,F]
  DoModulatedLinear(dst, m, in, Activation::kGeluTanh, hidden);
  DoLinearGatedAdd(operand, out, gate, dst);
}

void Ops::DoSplitHeadsNormRope(ConstTensorView src, ConstTensorView norm, float eps,
                               ConstTensorView rope, TensorView dst) {
  ConstTensorView heads(src.data(), src.dtype(), dst.shape());  // src [T,H*Dh] seen as [H,T,Dh]
  heads.SetStride(0, dst.dim(2));
  heads.SetStride(1, src.stride(0));
  if (norm.empty() && rope.empty()) return DoCopy(heads, dst);
  if (norm.empty()) return DoRope(heads, rope, dst);
  if (rope.empty()) return DoRmsNorm(heads, norm, eps, dst);
  const TensorView normed = Scratch(DType::kF32, dst.shape());  // [H,T,Dh]
  if (normed.empty()) return;
  DoRmsNorm(heads, norm, eps, normed);
  DoRope(normed, rope, dst);
}

void Ops::DoConv2dAdd(ConstTensorView src, const ConvWeights& w, const ConvOptions& o,
                      ConstTensorView residual, TensorView dst) {
  const TensorView product = Scratch(DType::kF32, dst.shape());  // [h,w,N]
  if (product.empty()) return;
  DoConv2d(src, w, o, product);
  DoAdd(product, residual, dst);
}

void Ops::DoNormConv2d(ConstTensorView src, const PictureNorm& norm, const ConvWeights& w,
                       ConstTensorView residual, TensorView dst) {
  constexpr ConvOptions kSame{.stride = 1, .pad_begin = 1, .pad_end = 1};
  const int64_t values = src.shape().NumElements();
  const TensorView both = Scratch(DType::kF32, {values + dst.shape().NumElements()});
  if (both.empty()) return;
  const TensorView normed = both.Rows(0, values).Reshaped(src.shape());  // [h,w,C]
  DoGroupNorm(src, norm.weight, norm.bias, norm.groups, norm.eps, norm.act, normed);
  if (residual.empty()) return DoConv2d(normed, w, kSame, dst);
  const TensorView product = both.Rows(values, both.dim(0)).Reshaped(dst.shape());  // [h,w,N]
  DoConv2d(normed, w, kSame, product);
  DoAdd(product, residual, dst);
}

void Ops::DoUpsampleConv2d(ConstTensorView src, const ConvWeights& w, TensorView dst) {
  const TensorView enlarged =
      Scratch(src.dtype(), {2 * src.dim(0), 2 * src.dim(1), src.dim(2)});  // [2h,2w,C], a copy
  if (enlarged.empty()) return;
  DoUpsample2x(src, enlarged);
  DoConv2d(enlarged, w, {.stride = 1, .pad_begin = 1, .pad_end = 1}, dst);
}

}  // namespace kontext
