#include "dit/dit_activations.h"

#include <algorithm>

namespace kontext {
namespace {

// 2^20 tokens are 16 times the largest picture and 2^12 steps more than anyone waits for; with
// CheckDitConfig's bounds no size below overflows.
Status CheckPlan(const DitPlan& plan) {
  constexpr int64_t kMaxTokens = 1 << 20, kMaxSteps = 1 << 12;
  for (const int64_t n : {plan.text, plan.target, plan.reference}) {
    if (n < 0 || n > kMaxTokens) return Usage("{} tokens: must be 0 to {}", n, kMaxTokens);
  }
  if (plan.text == 0 || plan.target == 0) {
    return Usage("{} text and {} target tokens: there must be at least one of each", plan.text,
                 plan.target);
  }
  if (plan.steps < 1 || plan.steps > kMaxSteps) {
    return Usage("{} steps: must be 1 to {}", plan.steps, kMaxSteps);
  }
  return {};
}

// Takes tensors until the first failure, which it keeps.
class Taker {
 public:
  explicit Taker(Arena& arena) : arena_(arena) {}

  TensorView operator()(DType dtype, const Shape& shape) {
    auto view = arena_.Take(dtype, shape);
    if (view.ok()) return *view;
    if (status.ok()) status = view.status();
    return {};
  }

  Status status;

 private:
  Arena& arena_;
};

}  // namespace

Result<DitActivations> TakeActivations(const DitConfig& config, const DitPlan& plan,
                                       DType activations, Arena& arena) {
  KX_RETURN_IF_ERROR(CheckDitConfig(config));
  KX_RETURN_IF_ERROR(CheckPlan(plan));
  constexpr DType kF32 = DType::kF32;
  const int64_t T = plan.tokens(), S = plan.steps;
  const int64_t D = config.hidden, H = config.heads, Dh = config.head_dim(), F = config.mlp;
  Taker take(arena);
  DitActivations a;
  a.plan = plan;
  a.head_dim = Dh;

  a.rope = take(kF32, {T, Dh / 2, 2});
  a.txt = take(kF32, {plan.text, D});
  for (int64_t i = 0; i < config.depth; ++i) {
    const TensorView img = take(kF32, {S, 6 * D});
    a.double_mod.push_back({img, take(kF32, {S, 6 * D})});
  }
  for (int64_t i = 0; i < config.depth_single; ++i) a.single_mod.push_back(take(kF32, {S, 3 * D}));
  a.final_mod = take(kF32, {S, 2 * D});

  const int64_t keeping = plan.keep_reference ? config.depth + config.depth_single : 0;
  for (int64_t i = 0; i < keeping; ++i) {
    const TensorView k = take(activations, {H, plan.reference, Dh});
    a.reference.push_back({k, take(activations, {H, plan.reference, Dh})});
  }

  a.sinusoids = take(kF32, {S, kTimestepChannels});
  a.vec_hidden = take(kF32, {S, D});
  a.vec_row = take(kF32, {1, D});
  a.vec = take(kF32, {S, D});

  a.x = take(kF32, {T, D});
  a.q = take(activations, {H, T, Dh});
  a.k = take(activations, {H, T, Dh});
  a.v = take(activations, {H, T, Dh});
  a.wide = take(activations, {T, std::max(3 * D, D + F)});
  KX_RETURN_IF_ERROR(take.status);
  if (a.wide.empty()) return a;  // a plan has no memory to look at through views

  a.qkv = a.wide.Cols(0, 3 * D);
  a.attention = a.wide.Cols(0, D);
  a.mlp = a.wide.Cols(D, D + F);
  a.attention_mlp = a.wide.Cols(0, D + F);
  return a;
}

Result<int64_t> DitRunBytes(const DitConfig& config, const DitPlan& plan, DType activations) {
  Arena arena;
  KX_RETURN_IF_ERROR(TakeActivations(config, plan, activations, arena).status());
  return arena.used_bytes();
}

}  // namespace kontext
