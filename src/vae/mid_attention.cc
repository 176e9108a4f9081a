// The middle of a half: the one place where every pixel sees every other.
// Source: BFL = flux modules/autoencoder.py; spec architecture 4.
#include <cmath>

#include "vae/stages.h"

namespace kontext {
namespace {

// BFL AttnBlock.forward: x + proj_out(softmax(q.k / sqrt(C)) v), one head over all P = h*w
// positions
void MidAttention(VaeRun& run, const MidAttentionWeights& w) {
  const VaeConfig& c = run.config();
  const TensorView x = run.x();  // [h,w,C]
  const int64_t channels = x.dim(2);
  const int64_t positions = x.dim(0) * x.dim(1);
  const TensorView a = run.Take(Slot::kA, {2, positions, channels});
  const TensorView b = run.Take(Slot::kB, {2, positions, channels});
  Ops* ops = run.ops();
  if (ops == nullptr) return;

  const TensorView n = a.At(0);  // [P,C], the normed input, then the attention's result
  const TensorView q = a.At(1);  // [P,C]
  const TensorView k = b.At(0);
  const TensorView v = b.At(1);
  ops->GroupNorm(x, w.norm_weight.view(), w.norm_bias.view(), static_cast<int>(c.groups), c.eps,
                 Activation::kNone, n.Reshaped(x.shape()));
  ops->Linear(n, *w.q, Activation::kNone, q);
  ops->Linear(n, *w.k, Activation::kNone, k);
  ops->Linear(n, *w.v, Activation::kNone, v);
  const Shape one_head{1, positions, channels};
  AttentionOptions attention;
  attention.scale = 1.0f / std::sqrt(static_cast<float>(channels));
  ops->Attention(q.Reshaped(one_head), k.Reshaped(one_head), v.Reshaped(one_head), attention, n);
  ops->LinearGatedAdd(n, *w.proj_out, {}, x.Reshaped(n.shape()));
}

}  // namespace

Status Mid(VaeRun& run, const MidWeights& w) {
  const int64_t channels = run.x().dim(2);
  Resnet(run, w.block_1, channels);
  KX_RETURN_IF_ERROR(run.Check());
  MidAttention(run, w.attn_1);
  KX_RETURN_IF_ERROR(run.Check());
  Resnet(run, w.block_2, channels);
  return run.Check();
}

}  // namespace kontext
