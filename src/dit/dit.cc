#include "dit/dit.h"

#include <cmath>
#include <utility>

#include "dit/blocks.h"
#include "dit/embed.h"
#include "dit/rope.h"
#include "dit/tap.h"

namespace kontext {
namespace {

Status CheckView(const char* what, ConstTensorView view, const Shape& shape) {
  if (!view.empty() && view.dtype() == DType::kF32 && view.shape() == shape) return {};
  return Internal("{} is {} {}, expected F32 {}", what, Name(view.dtype()), view.shape().Str(),
                  shape.Str());
}

// The sizes that follow from the inputs, when they fit each other and the network.
Result<DitPlan> PlanOf(const DitConfig& config, const DitInputs& in) {
  KX_ENSURE(in.txt.rank() == 2);
  DitPlan plan;
  plan.text = in.txt.dim(0);
  plan.target = in.target_tokens;
  plan.reference = static_cast<int64_t>(in.ids.size()) - plan.text - plan.target;
  plan.steps = static_cast<int64_t>(in.timesteps.size());
  plan.keep_reference = in.keep_reference;
  KX_RETURN_IF_ERROR(CheckView("txt", in.txt, {plan.text, config.context}));
  KX_RETURN_IF_ERROR(CheckView("pooled", in.pooled, {config.vec}));
  if (!std::isfinite(in.guidance))
    return Usage("guidance is {}, expected a finite number", in.guidance);
  for (const float t : in.timesteps) {
    if (!(t > 0.0f && t <= 1.0f))
      return Usage("a timestep is {}, expected above 0 and at most 1", t);
  }
  for (const TokenId& id : in.ids) {
    for (const float p : id) {
      if (!std::isfinite(p)) return Usage("a token's position is {}, expected a finite number", p);
    }
  }
  return plan;
}

bool IsLoaded(const DitConfig& config, const DitWeights& w) {
  return w.img_in != nullptr && (w.guidance_in.in_layer != nullptr) == config.guidance &&
         std::ssize(w.double_blocks) == config.depth &&
         std::ssize(w.single_blocks) == config.depth_single;
}

void Enter(const DitWeights& w, int section) {
  if (w.watch != nullptr) w.watch->Enter(section);
}

// The modulations of all steps: one product of silu(vec) [steps, D] per table.  (BFL layers.py:119,
// 247)
void ComputeModulations(const DitConfig& config, const DitWeights& w, const DitActivations& a,
                        Ops& ops, const Tap& tap) {
  const DitSections sections(config);
  const TensorView vec = a.vec_hidden;  // [steps, D]
  ops.Activate(a.vec, Activation::kSilu, vec);
  for (size_t i = 0; i < a.double_mod.size(); ++i) {
    Enter(w, sections.Modulation(static_cast<int>(i)));
    ops.Linear(vec, *w.double_blocks[i].img.mod, Activation::kNone,
               a.double_mod[i].img);  // [steps, 6D]
    ops.Linear(vec, *w.double_blocks[i].txt.mod, Activation::kNone, a.double_mod[i].txt);
    tap(a.double_mod[i].img, "d{}.img_mod.lin", i);
  }
  for (size_t i = 0; i < a.single_mod.size(); ++i) {
    Enter(w, sections.Modulation(sections.depth + static_cast<int>(i)));
    ops.Linear(vec, *w.single_blocks[i].modulation, Activation::kNone,
               a.single_mod[i]);  // [steps, 3D]
  }
  ops.Linear(vec, *w.final_modulation, Activation::kNone, a.final_mod);  // [steps, 2D]
}

}  // namespace

struct DitRun::Impl {
  DitConfig config;
  const DitWeights& weights;
  Ops& ops;
  Tap tap;
  Arena arena;
  DitActivations a;
  bool kept = false;  // a Forward has filled a.reference
};

DitRun::DitRun(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DitRun::~DitRun() = default;

Result<std::unique_ptr<DitRun>> DitRun::Create(const DitConfig& config, const DitWeights& weights,
                                               const DitInputs& inputs, Ops& ops,
                                               Observer* observer) {
  KX_RETURN_IF_ERROR(CheckDitConfig(config));
  KX_ENSURE(IsLoaded(config, weights));
  KX_ASSIGN_OR_RETURN(const DitPlan plan, PlanOf(config, inputs));
  KX_ASSIGN_OR_RETURN(const int64_t bytes, DitRunBytes(config, plan, ops.activation_dtype()));
  KX_ASSIGN_OR_RETURN(Arena arena, Arena::Allocate(bytes));
  KX_ASSIGN_OR_RETURN(DitActivations a,
                      TakeActivations(config, plan, ops.activation_dtype(), arena));
  const Tap tap(observer);
  const DitSections sections(config);

  Enter(weights, sections.Embedders());
  const std::vector<float> rope = RopeTable(config, inputs.ids);
  ops.Copy(ViewOf(rope.data(), a.rope.shape()), a.rope);
  ops.Linear(inputs.txt, *weights.txt_in, Activation::kNone, a.txt);  // [Tt, D] (BFL model.py:105)
  EmbedConditioning(config, weights, inputs, a, ops, tap);
  ComputeModulations(config, weights, a, ops, tap);
  Enter(weights, sections.Block(0));  // the tables are no longer needed
  KX_RETURN_IF_ERROR(ops.TakeStatus());
  auto impl = std::make_unique<Impl>(
      Impl{config, weights, ops, tap, std::move(arena), std::move(a), false});
  return std::unique_ptr<DitRun>(new DitRun(std::move(impl)));
}

Status DitRun::Forward(int step, ConstTensorView tokens, TensorView velocity) {
  impl_->kept = false;  // until all blocks have kept theirs
  KX_RETURN_IF_ERROR(Pass(step, impl_->a.plan.tokens(), tokens, velocity));
  impl_->kept = impl_->a.plan.keep_reference;
  return Status();
}

Status DitRun::ForwardReusing(int step, ConstTensorView tokens, TensorView velocity) {
  KX_ENSURE(impl_->kept);
  return Pass(step, impl_->a.plan.text + impl_->a.plan.target, tokens, velocity);
}

// BFL model.py:97-119, of the first `rows` rows: all, or text and target.
Status DitRun::Pass(int step, int64_t rows, ConstTensorView tokens, TensorView velocity) {
  const DitConfig& config = impl_->config;
  const DitWeights& w = impl_->weights;
  const DitActivations& a = impl_->a;
  Ops& ops = impl_->ops;
  const DitStep s{a, ops, impl_->tap, step, rows};
  const int64_t Tt = a.plan.text, Ti = a.plan.target, T = a.plan.tokens();
  KX_ENSURE(step >= 0 && step < a.plan.steps);
  KX_RETURN_IF_ERROR(CheckView("tokens", tokens, {T - Tt, config.in_channels}));
  KX_RETURN_IF_ERROR(CheckView("velocity", velocity, {Ti, config.out_channels}));
  const Status cancelled(Code::kCancelled, "cancelled");
  const DitSections sections(config);

  Enter(w, sections.Block(0));
  ops.Copy(a.txt, a.x.Rows(0, Tt));  // [Tt, D]
  ops.Linear(tokens.Rows(0, rows - Tt), *w.img_in, Activation::kNone,
             a.x.Rows(Tt, rows));  // [Ti + Tr, D]
  for (size_t i = 0; i < w.double_blocks.size(); ++i) {
    if (s.tap.Cancelled()) return cancelled;
    Enter(w, sections.Block(static_cast<int>(i)));
    DoubleBlock(s, i, w.double_blocks[i]);
    KX_RETURN_IF_ERROR(ops.TakeStatus());
  }
  for (size_t i = 0; i < w.single_blocks.size(); ++i) {
    if (s.tap.Cancelled()) return cancelled;
    Enter(w, sections.Block(sections.depth + static_cast<int>(i)));
    // Of the last block's result only the target rows are used.
    const bool last = i + 1 == w.single_blocks.size();
    SingleBlock(s, i, w.single_blocks[i], last ? RowRange{Tt, Tt + Ti} : RowRange{0, rows});
    KX_RETURN_IF_ERROR(ops.TakeStatus());
  }
  FinalLayer(s, w, velocity);  // [Ti, out_channels]
  return ops.TakeStatus();
}

int64_t DitRun::activation_bytes() const { return impl_->arena.capacity_bytes(); }

}  // namespace kontext
