// Sources: HF-T = transformers models/t5/modeling_t5.py; spec architecture 10.
#include "text/t5_encoder.h"

#include <cmath>

#include "tensor/arena.h"
#include "text/ids.h"

namespace kontext {
namespace {

// FLUX.1 asks for 512; more is only a matter of memory, so the bound guards sizes, not meaning.
constexpr int64_t kMaxTokens = 1 << 14;

// One call's memory. T = Tt tokens, P = 2T - 1 relative positions, I = H * Dh.
struct Activations {
  TensorView x;              // [T, D] F32, the residual stream
  TensorView bias_rows;      // [P, H] F32, the bias table's rows of all relative positions
  TensorView relative_bias;  // [H, P] F32
  TensorView n;              // [T, D], the normed stream
  TensorView projection;     // [T, I], q, k and v in turn, then the attention's result
  TensorView q, k, v;        // [H, T, Dh]
  TensorView f0, f1;         // [T, F]

  Status Take(const T5Config& c, int64_t t, DType dtype, Arena& arena) {
    const int64_t p = 2 * t - 1;
    const Shape heads{c.heads, t, c.kv};
    KX_ASSIGN_OR_RETURN(x, arena.Take(DType::kF32, {t, c.model}));
    KX_ASSIGN_OR_RETURN(bias_rows, arena.Take(DType::kF32, {p, c.heads}));
    KX_ASSIGN_OR_RETURN(relative_bias, arena.Take(DType::kF32, {c.heads, p}));
    KX_ASSIGN_OR_RETURN(n, arena.Take(dtype, {t, c.model}));
    KX_ASSIGN_OR_RETURN(projection, arena.Take(dtype, {t, c.heads * c.kv}));
    KX_ASSIGN_OR_RETURN(q, arena.Take(dtype, heads));
    KX_ASSIGN_OR_RETURN(k, arena.Take(dtype, heads));
    KX_ASSIGN_OR_RETURN(v, arena.Take(dtype, heads));
    KX_ASSIGN_OR_RETURN(f0, arena.Take(dtype, {t, c.ff}));
    KX_ASSIGN_OR_RETURN(f1, arena.Take(dtype, {t, c.ff}));
    return Status();
  }
};

// relative_bias[h, (j - i) + T - 1] = table[bucket(j - i), h]: HF-T T5Attention.compute_bias,
// without its T x T repetition, since the bias depends on j - i alone.
void MakeRelativeBias(const T5Config& c, const T5Weights& w, int64_t t, Ops& ops,
                      const Activations& a) {
  std::vector<int32_t> buckets;
  for (int64_t relative = 1 - t; relative < t; ++relative) {
    buckets.push_back(static_cast<int32_t>(RelativeBucket(c, relative)));
  }
  const int64_t p = 2 * t - 1;
  ops.GatherRows(w.relative_bias.table, ViewOf(static_cast<const int32_t*>(buckets.data()), {p}),
                 a.bias_rows);
  // [P, H] read as its transpose [H, P, 1].
  TensorView transposed = a.bias_rows.Reshaped({c.heads, p, 1});
  transposed.SetStride(0, 1);
  transposed.SetStride(1, c.heads);
  ops.Copy(transposed, a.relative_bias.Reshaped({c.heads, p, 1}));
}

// HF-T T5Block.forward: two residual branches, normed first.
void RunLayer(const T5Config& c, const T5LayerWeights& w, Ops& ops, const Activations& a) {
  // x += o(softmax(q.k + bias) v): no division by sqrt(Dh), no mask (pads attend)
  ops.RmsNorm(a.x, w.attention_norm.view(), c.eps, a.n);
  ops.Linear(a.n, *w.q, Activation::kNone, a.projection);
  ops.SplitHeadsNormRope(a.projection, {}, 0, {}, a.q);
  ops.Linear(a.n, *w.k, Activation::kNone, a.projection);
  ops.SplitHeadsNormRope(a.projection, {}, 0, {}, a.k);
  ops.Linear(a.n, *w.v, Activation::kNone, a.projection);
  ops.SplitHeadsNormRope(a.projection, {}, 0, {}, a.v);
  AttentionOptions attention;
  attention.scale = 1.0f;
  attention.relative_bias = a.relative_bias;
  ops.Attention(a.q, a.k, a.v, attention, a.projection);
  ops.LinearGatedAdd(a.projection, *w.o, {}, a.x);

  // x += wo(gelu_tanh(wi_0(n)) * wi_1(n)): HF-T T5DenseGatedActDense
  ops.RmsNorm(a.x, w.ff_norm.view(), c.eps, a.n);
  ops.Linear(a.n, *w.wi_0, Activation::kGeluTanh, a.f0);
  ops.Linear(a.n, *w.wi_1, Activation::kNone, a.f1);
  ops.Multiply(a.f0, a.f1, a.f0);
  ops.LinearGatedAdd(a.f0, *w.wo, {}, a.x);
}

}  // namespace

void VisitT5(const T5Config& c, T5Weights& w, WeightVisitor& v) {
  v.Table("shared.weight", w.shared, c.vocab, c.model);
  v.Table("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", w.relative_bias,
          c.buckets, c.heads);
  const int64_t inner = c.heads * c.kv;
  w.layers.resize(static_cast<size_t>(c.layers));
  for (size_t i = 0; i < w.layers.size(); ++i) {
    T5LayerWeights& layer = w.layers[i];
    v.Section(static_cast<int>(i), Use::kEveryStep);
    const std::string p = "encoder.block." + std::to_string(i);
    v.Vector(p + ".layer.0.layer_norm.weight", layer.attention_norm, c.model);
    v.Linear(p + ".layer.0.SelfAttention.q", layer.q, inner, c.model, Bias::kNo);
    v.Linear(p + ".layer.0.SelfAttention.k", layer.k, inner, c.model, Bias::kNo);
    v.Linear(p + ".layer.0.SelfAttention.v", layer.v, inner, c.model, Bias::kNo);
    v.Linear(p + ".layer.0.SelfAttention.o", layer.o, c.model, inner, Bias::kNo);
    v.Vector(p + ".layer.1.layer_norm.weight", layer.ff_norm, c.model);
    v.Linear(p + ".layer.1.DenseReluDense.wi_0", layer.wi_0, c.ff, c.model, Bias::kNo);
    v.Linear(p + ".layer.1.DenseReluDense.wi_1", layer.wi_1, c.ff, c.model, Bias::kNo);
    v.Linear(p + ".layer.1.DenseReluDense.wo", layer.wo, c.model, c.ff, Bias::kNo);
  }
  v.Vector("encoder.final_layer_norm.weight", w.final_norm, c.model);
}

// HF-T T5Attention._relative_position_bucket, bidirectional: one half of the buckets for keys after
// the query; in each half the first half is exact, the rest logarithmic up to max_distance.
int64_t RelativeBucket(const T5Config& config, int64_t relative) {
  const int64_t half = config.buckets / 2;
  const int64_t exact = half / 2;
  const int64_t after = relative > 0 ? half : 0;
  const int64_t distance = relative < 0 ? -relative : relative;
  if (distance < exact) return after + distance;
  if (distance >= config.max_distance) return after + half - 1;
  const double ratio =
      std::log(static_cast<double>(distance) / static_cast<double>(exact)) /
      std::log(static_cast<double>(config.max_distance) / static_cast<double>(exact));
  return after + exact + static_cast<int64_t>(ratio * static_cast<double>(half - exact));
}

Result<int64_t> T5Bytes(const T5Config& config, int64_t tokens, DType activations) {
  Activations a;
  Arena plan;
  KX_RETURN_IF_ERROR(a.Take(config, tokens, activations, plan));
  return plan.used_bytes();
}

Status EncodeT5(const T5Config& config, const T5Weights& weights, const std::vector<int32_t>& ids,
                Ops& ops, Observer* observer, TensorView states) {
  const int64_t t = static_cast<int64_t>(ids.size());
  KX_ENSURE(config.buckets >= 4 && config.buckets % 4 == 0);
  KX_RETURN_IF_ERROR(CheckIds("T5", ids, config.vocab, kMaxTokens));
  KX_ENSURE(weights.layers.size() == static_cast<size_t>(config.layers));
  KX_ENSURE(states.dtype() == DType::kF32 && states.shape() == Shape({t, config.model}));

  Activations a;
  KX_ASSIGN_OR_RETURN(const int64_t bytes, T5Bytes(config, t, ops.activation_dtype()));
  KX_ASSIGN_OR_RETURN(Arena arena, Arena::Allocate(bytes));
  KX_RETURN_IF_ERROR(a.Take(config, t, ops.activation_dtype(), arena));

  // x = shared[id], not multiplied by sqrt(D)                                 [T, D]
  ops.GatherRows(weights.shared.table, ViewOf(ids.data(), {t}), a.x);
  MakeRelativeBias(config, weights, t, ops, a);  // block 0's, for all blocks

  for (size_t i = 0; i < weights.layers.size(); ++i) {
    KX_RETURN_IF_ERROR(CheckCancelled(observer, "T5"));
    if (weights.watch != nullptr) weights.watch->Enter(static_cast<int>(i));
    RunLayer(config, weights.layers[i], ops, a);
    KX_RETURN_IF_ERROR(ops.TakeStatus());
    if (observer != nullptr) observer->OnTensor("t5.layer" + std::to_string(i), a.x);
  }
  ops.RmsNorm(a.x, weights.final_norm.view(), config.eps, states);
  KX_RETURN_IF_ERROR(ops.TakeStatus());
  if (weights.watch != nullptr) weights.watch->Leave();
  if (observer != nullptr) observer->OnTensor("t5.states", states);
  return Status();
}

}  // namespace kontext
