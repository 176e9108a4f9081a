// Sources: HF-T = transformers models/clip/modeling_clip.py; spec architecture 9.
#include "text/clip_encoder.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "tensor/arena.h"
#include "text/ids.h"

namespace kontext {
namespace {

// One call's memory.
struct Activations {
  TensorView x;           // [T, D] F32, the residual stream
  TensorView position;    // [T, D] F32
  TensorView n;           // [T, D], the normed stream, then the attention's result
  TensorView projection;  // [T, D], q, k and v in turn
  TensorView q, k, v;     // [H, T, Dh]
  TensorView f;           // [T, F]

  Status Take(const ClipConfig& c, int64_t t, DType dtype, Arena& arena) {
    const Shape heads{c.heads, t, c.hidden / c.heads};
    KX_ASSIGN_OR_RETURN(x, arena.Take(DType::kF32, {t, c.hidden}));
    KX_ASSIGN_OR_RETURN(position, arena.Take(DType::kF32, {t, c.hidden}));
    KX_ASSIGN_OR_RETURN(n, arena.Take(dtype, {t, c.hidden}));
    KX_ASSIGN_OR_RETURN(projection, arena.Take(dtype, {t, c.hidden}));
    KX_ASSIGN_OR_RETURN(q, arena.Take(dtype, heads));
    KX_ASSIGN_OR_RETURN(k, arena.Take(dtype, heads));
    KX_ASSIGN_OR_RETURN(v, arena.Take(dtype, heads));
    KX_ASSIGN_OR_RETURN(f, arena.Take(dtype, {t, c.ff}));
    return Status();
  }
};

// HF-T CLIPEncoderLayer.forward: two residual branches, normed first.
void RunLayer(const ClipConfig& c, const ClipLayerWeights& w, Ops& ops, const Activations& a) {
  // x += out_proj(MHA(LN1(x))), causal
  ops.LayerNorm(a.x, w.norm1_weight.view(), w.norm1_bias.view(), c.eps, a.n);
  ops.Linear(a.n, *w.q, Activation::kNone, a.projection);
  ops.SplitHeadsNormRope(a.projection, {}, 0, {}, a.q);
  ops.Linear(a.n, *w.k, Activation::kNone, a.projection);
  ops.SplitHeadsNormRope(a.projection, {}, 0, {}, a.k);
  ops.Linear(a.n, *w.v, Activation::kNone, a.projection);
  ops.SplitHeadsNormRope(a.projection, {}, 0, {}, a.v);
  AttentionOptions attention;
  const int64_t head_size = c.hidden / c.heads;  // Dh
  attention.scale = 1.0f / std::sqrt(static_cast<float>(head_size));
  attention.causal = true;
  ops.Attention(a.q, a.k, a.v, attention, a.n);
  ops.LinearGatedAdd(a.n, *w.out, {}, a.x);

  // x += fc2(quick_gelu(fc1(LN2(x))))
  ops.LayerNorm(a.x, w.norm2_weight.view(), w.norm2_bias.view(), c.eps, a.n);
  ops.Linear(a.n, *w.fc1, Activation::kQuickGelu, a.f);
  ops.LinearGatedAdd(a.f, *w.fc2, {}, a.x);
}

}  // namespace

void VisitClip(const ClipConfig& c, ClipWeights& w, WeightVisitor& v) {
  v.Table("text_model.embeddings.token_embedding.weight", w.token_embedding, c.vocab, c.hidden);
  v.Table("text_model.embeddings.position_embedding.weight", w.position_embedding, c.positions,
          c.hidden);
  w.layers.resize(static_cast<size_t>(c.layers));
  for (size_t i = 0; i < w.layers.size(); ++i) {
    ClipLayerWeights& layer = w.layers[i];
    const std::string p = "text_model.encoder.layers." + std::to_string(i);
    v.Vector(p + ".layer_norm1.weight", layer.norm1_weight, c.hidden);
    v.Vector(p + ".layer_norm1.bias", layer.norm1_bias, c.hidden);
    v.Linear(p + ".self_attn.q_proj", layer.q, c.hidden, c.hidden, Bias::kYes);
    v.Linear(p + ".self_attn.k_proj", layer.k, c.hidden, c.hidden, Bias::kYes);
    v.Linear(p + ".self_attn.v_proj", layer.v, c.hidden, c.hidden, Bias::kYes);
    v.Linear(p + ".self_attn.out_proj", layer.out, c.hidden, c.hidden, Bias::kYes);
    v.Vector(p + ".layer_norm2.weight", layer.norm2_weight, c.hidden);
    v.Vector(p + ".layer_norm2.bias", layer.norm2_bias, c.hidden);
    v.Linear(p + ".mlp.fc1", layer.fc1, c.ff, c.hidden, Bias::kYes);
    v.Linear(p + ".mlp.fc2", layer.fc2, c.hidden, c.ff, Bias::kYes);
  }
  v.Vector("text_model.final_layer_norm.weight", w.final_norm_weight, c.hidden);
  v.Vector("text_model.final_layer_norm.bias", w.final_norm_bias, c.hidden);
}

int64_t PooledPosition(const ClipConfig& config, const std::vector<int32_t>& ids) {
  if (ids.empty()) return 0;
  // HF-T CLIPTextTransformer.forward: the argmax of the ids under the legacy eos id 2, else the
  // argmax of (id == eos), which is 0 when the eos does not occur. Either way the first of several.
  if (config.eos_id == 2)
    return std::distance(ids.begin(), std::max_element(ids.begin(), ids.end()));
  const auto eos = std::find(ids.begin(), ids.end(), config.eos_id);
  return eos == ids.end() ? 0 : std::distance(ids.begin(), eos);
}

Result<int64_t> ClipBytes(const ClipConfig& config, DType activations) {
  Activations a;
  Arena plan;
  KX_RETURN_IF_ERROR(a.Take(config, config.positions, activations, plan));
  return plan.used_bytes();
}

Status EncodeClip(const ClipConfig& config, const ClipWeights& weights,
                  const std::vector<int32_t>& ids, Ops& ops, Observer* observer,
                  TensorView hidden) {
  const int64_t t = static_cast<int64_t>(ids.size());
  KX_ENSURE(config.heads > 0 && config.hidden % config.heads == 0);
  KX_RETURN_IF_ERROR(CheckIds("CLIP", ids, config.vocab, config.positions));
  KX_ENSURE(weights.layers.size() == static_cast<size_t>(config.layers));
  KX_ENSURE(hidden.dtype() == DType::kF32 && hidden.shape() == Shape({t, config.hidden}));

  Activations a;
  KX_ASSIGN_OR_RETURN(const int64_t bytes, ClipBytes(config, ops.activation_dtype()));
  KX_ASSIGN_OR_RETURN(Arena arena, Arena::Allocate(bytes));
  KX_RETURN_IF_ERROR(a.Take(config, t, ops.activation_dtype(), arena));

  // x = token_embedding[id] + position_embedding[0..T)                        [T, D]
  std::vector<int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  ops.GatherRows(weights.token_embedding.table, ViewOf(ids.data(), {t}), a.x);
  ops.GatherRows(weights.position_embedding.table,
                 ViewOf(static_cast<const int32_t*>(positions.data()), {t}), a.position);
  ops.Add(a.x, a.position, a.x);

  for (size_t i = 0; i < weights.layers.size(); ++i) {
    KX_RETURN_IF_ERROR(CheckCancelled(observer, "CLIP"));
    RunLayer(config, weights.layers[i], ops, a);
    KX_RETURN_IF_ERROR(ops.TakeStatus());
    if (observer != nullptr) observer->OnTensor("clip.layer" + std::to_string(i), a.x);
  }
  ops.LayerNorm(a.x, weights.final_norm_weight.view(), weights.final_norm_bias.view(), config.eps,
                hidden);
  KX_RETURN_IF_ERROR(ops.TakeStatus());
  if (observer != nullptr) observer->OnTensor("clip.hidden", hidden);
  return Status();
}

}  // namespace kontext
