// The double-stream block: text and image tokens have their own weights and meet in the attention.
// Letters as in dit.h; Ts is Tt for the text stream and Ti + Tr for the image stream,
// T their sum; in a pass that reuses the reference Tr is 0 but for the keys and values.
#include <cmath>

#include "dit/blocks.h"

namespace kontext {
namespace {

// What belongs to the rows of one stream.
struct Stream {
  const StreamWeights& w;
  Modulation mod1, mod2;  // of the attention and of the MLP
  ConstTensorView rope;   // [Ts, Dh/2, 2]
  TensorView x;           // [Ts, D]
  TensorView qkv;         // [Ts, 3D]
  TensorView q, k, v;     // [H, Ts, Dh], in the joint ones
  TensorView attention;   // [Ts, D]
  TensorView mlp;         // [Ts, F], room
};

Stream StreamOf(const DitStep& s, const StreamWeights& w, ConstTensorView modulation, int64_t begin,
                int64_t end) {
  const DitActivations& a = s.a;
  const int64_t D = a.x.dim(1);
  const auto rows = [&](TensorView v) { return v.Rows(begin, end); };
  const auto tokens = [&](TensorView v) { return v.Slice(1, begin, end); };
  return {w,
          ModulationAt(modulation, s.step, 0, D),
          ModulationAt(modulation, s.step, 1, D),
          rows(a.rope),
          rows(a.x),
          rows(a.qkv),
          tokens(a.q),
          tokens(a.k),
          tokens(a.v),
          rows(a.attention),
          rows(a.mlp)};
}

}  // namespace

// BFL layers.py:158-191. q, k and v of both streams lie in one buffer, text first (:177-179).
void DoubleBlock(const DitStep& s, size_t index, const DoubleBlockWeights& w) {
  const DitActivations& a = s.a;
  Ops& ops = s.ops;
  const int64_t Tt = a.plan.text, D = a.x.dim(1);
  const DoubleModulation& mod = a.double_mod[index];
  const Stream txt = StreamOf(s, w.txt, mod.txt, 0, Tt);
  const Stream img = StreamOf(s, w.img, mod.img, Tt, s.rows);

  for (const Stream* t : {&txt, &img}) {
    // layers.py:163-165, 170-172: modulated norm, then q, k and v in one product
    ops.ModulatedLinear(t->x, t->mod1.in, *t->w.qkv, Activation::kNone, t->qkv);  // [Ts, 3D]
    // :166-167, 173-174: into heads; q and k normed and (math.py:7) rotated
    ops.SplitHeadsNormRope(t->qkv.Cols(0, D), t->w.query_norm.view(), kNormEps, t->rope, t->q);
    ops.SplitHeadsNormRope(t->qkv.Cols(D, 2 * D), t->w.key_norm.view(), kNormEps, t->rope, t->k);
    ops.SplitHeadsNormRope(t->qkv.Cols(2 * D, 3 * D), {}, kNormEps, {}, t->v);  // [H, Ts, Dh]
  }
  KeepOrReuseReference(s, index);
  s.tap(img.qkv, "d{}.img_qkv", index);

  // :181-182: every token attends to every token, without a mask
  AttentionOptions options;
  options.scale = 1.0f / std::sqrt(static_cast<float>(a.head_dim));
  options.coarsest = Precision::kInt8;
  ops.Attention(a.q.Slice(1, 0, s.rows), a.k, a.v, options, a.attention.Rows(0, s.rows));  // [T, D]

  for (const Stream* t : {&img, &txt}) {
    // :185, 189: x += gate1 * proj(attention)
    ops.LinearGatedAdd(t->attention, *t->w.proj, t->mod1.gate, t->x);  // [Ts, D]
    // :186, 190: x += gate2 * mlp(modulated norm)
    ops.ModulatedMlp(t->mlp, t->mod2.in, *t->w.mlp_0, *t->w.mlp_2, t->mod2.gate, t->x);  // [Ts, D]
  }
  s.tap(img.x, "double{}.img", index);
  s.tap(txt.x, "double{}.txt", index);
}

}  // namespace kontext
