// The single-stream block: attention and MLP side by side on one modulated norm, for all tokens
// alike.
#include <cmath>

#include "dit/blocks.h"

namespace kontext {

// BFL layers.py:227-239. linear1 runs as two products, its rows of q, k, v and those of the MLP,
// and both halves of linear2's input are written where linear2 reads them: nothing is split or
// concatenated.
void SingleBlock(const DitStep& s, size_t index, const SingleBlockWeights& w, RowRange rows) {
  const DitActivations& a = s.a;
  Ops& ops = s.ops;
  const int64_t D = a.x.dim(1);
  const Modulation mod = ModulationAt(a.single_mod[index], s.step, 0, D);
  const auto of_rows = [&](TensorView v) { return v.Rows(rows.begin, rows.end); };  // [Tq, ..]

  // layers.py:229-230: modulated norm, then q, k and v of all tokens
  const auto head = [&](TensorView v) { return v.Rows(0, s.rows); };
  const auto tokens = [&](TensorView v) { return v.Slice(1, 0, s.rows); };
  const TensorView qkv = head(a.qkv), rope = head(a.rope);
  ops.ModulatedLinear(head(a.x), mod.in, *w.linear1_qkv, Activation::kNone, qkv);  // [T, 3D]
  // :232-233: into heads; q and k normed and (math.py:7) rotated
  ops.SplitHeadsNormRope(qkv.Cols(0, D), w.query_norm.view(), kNormEps, rope, tokens(a.q));
  ops.SplitHeadsNormRope(qkv.Cols(D, 2 * D), w.key_norm.view(), kNormEps, rope, tokens(a.k));
  ops.SplitHeadsNormRope(qkv.Cols(2 * D, 3 * D), {}, kNormEps, {}, tokens(a.v));  // [H, T, Dh]
  KeepOrReuseReference(s, a.double_mod.size() + index);

  // :236: the rows' queries against the keys of all
  AttentionOptions options;
  options.scale = 1.0f / std::sqrt(static_cast<float>(a.head_dim));
  options.coarsest = Precision::kInt8;
  ops.Attention(a.q.Slice(1, rows.begin, rows.end), a.k, a.v, options,
                of_rows(a.attention));  // [Tq, D]
  // :230, 238-239: x += gate * linear2(attention | mlp), the MLP's rows of linear1 on the same norm
  ops.ModulatedMlp(of_rows(a.attention_mlp), mod.in, *w.linear1_mlp, *w.linear2, mod.gate,
                   of_rows(a.x));  // [Tq, D]
  s.tap(of_rows(a.x), "single{}", index);
}

}  // namespace kontext
