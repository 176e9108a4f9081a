#include "edit/memory.h"

#include <algorithm>
#include <vector>

#include "base/process_memory.h"
#include "edit/preview.h"
#include "edit/sizes.h"
#include "kontext/request.h"

namespace kontext {
namespace {

constexpr int64_t kF32Bytes = 4;
constexpr int64_t kSmallThings = 3 << 20;  // ids, names, tables, threads' stacks: together
constexpr int64_t kMiB = 1 << 20;

int64_t Pixels8(Size s, int channels) { return int64_t{s.width} * s.height * channels; }
int64_t Tokens(Size s) { return int64_t{s.width / 16} * (s.height / 16); }

int64_t ReferenceTokens(const EditPlan& plan) {
  int64_t sum = 0;
  for (const Size& s : plan.reference_sizes) sum += Tokens(s);
  return sum;
}

// The largest ops of one half of the autoencoder: on each level convolutions with 3x3 patches over
// all its pixels, and attention of one head over the latents.
void AddVaeOps(const VaeConfig& c, Size s, std::vector<OpSizes>& met) {
  int64_t width = s.width, height = s.height;
  for (size_t i = 0; i < c.channels.size(); ++i, width /= 2, height /= 2) {
    // What comes up from the level below has its channels still.
    const int64_t depth =
        std::max(c.channels[i], c.channels[std::min(i + 1, c.channels.size() - 1)]);
    met.push_back({.rows = width * height,
                   .in = 9 * depth,
                   .out = depth,
                   .results = width * height * depth,
                   .kernel = 9 * depth * depth,
                   .width = width,
                   .depth = depth});
  }
  const int64_t factor = c.factor(), latents = int64_t{s.width} * s.height / (factor * factor);
  met.push_back({.rows = latents,
                 .in = c.channels.back(),
                 .out = c.channels.back(),
                 .results = latents * c.channels.back(),
                 .heads = 1,
                 .queries = latents,
                 .keys = latents,
                 .channels = c.channels.back()});
}

// The blocks, and the modulations of all steps.
void AddDitOps(const DitConfig& c, const DitPlan& plan, std::vector<OpSizes>& met) {
  const int64_t T = plan.tokens(), D = c.hidden;
  met.push_back({.rows = T,
                 .in = D + c.mlp,
                 .out = std::max(c.mlp, 3 * D),
                 .results = T * D,
                 .modulated = D,
                 .heads = c.heads,
                 .queries = T,
                 .keys = T,
                 .channels = c.head_dim()});
  met.push_back({.rows = plan.steps, .in = D, .out = 6 * D, .results = plan.steps * 6 * D});
  met.push_back({.rows = plan.text, .in = c.context, .out = D, .results = plan.text * D});
}

OpSizes T5Ops(const T5Config& c, int64_t tokens) {
  const int64_t inner = c.heads * c.kv;
  const int64_t widest = std::max({c.model, c.ff, inner});
  return {.rows = tokens,
          .in = widest,
          .out = widest,
          .results = tokens * c.model,
          .heads = c.heads,
          .queries = tokens,
          .keys = tokens,
          .channels = c.kv};
}

OpSizes ClipOps(const ClipConfig& c) {
  return {.rows = c.positions,
          .in = std::max(c.hidden, c.ff),
          .out = std::max(c.hidden, c.ff),
          .results = c.positions * c.hidden,
          .heads = c.heads,
          .queries = c.positions,
          .keys = c.positions,
          .channels = c.hidden / c.heads};
}

Size Half(Size s) { return FlooredTo({s.width / 2, s.height / 2}, EditLimits{}.multiple); }

// A smaller plan of the same shape: every picture halved.
EditPlan Halved(EditPlan plan) {
  plan.size = Half(plan.size);
  for (Size& s : plan.reference_sizes) s = Half(s);
  return plan;
}

std::string SizeThatFits(EditPlan plan, const NetworkConfigs& configs, const MemoryRequest& request,
                         const Ops& ops, int64_t room) {
  while (plan.size != Half(plan.size)) {
    plan = Halved(plan);
    const Result<MemoryPlan> memory = PlanMemory(plan, configs, request, ops);
    if (!memory.ok() || memory->peak() > room) continue;
    return fmt::format("pictures of {}x{} (--size, with references of that size) would fit",
                       plan.size.width, plan.size.height);
  }
  return "no smaller picture fits";
}

int64_t RoundedUpMiB(int64_t bytes) { return (bytes + kMiB - 1) / kMiB; }

}  // namespace

NetworkConfigs ConfigsOf(const Model& m) {
  return {m.clip_config, m.t5_config, m.vae_config, m.dit_config};
}

int64_t MemoryPlan::peak() const {
  return std::max({prompt, references, steps, decode}) + workspace + kSmallThings;
}

Result<MemoryPlan> PlanMemory(const EditPlan& plan, const NetworkConfigs& c,
                              const MemoryRequest& request, const Ops& ops) {
  const DType dtype = ops.activation_dtype();
  const int64_t Tt = request.text_tokens, Ti = Tokens(plan.size), Tr = ReferenceTokens(plan);
  const int64_t width = c.dit.in_channels;
  MemoryPlan memory;
  std::vector<OpSizes> met = {T5Ops(c.t5, Tt), ClipOps(c.clip)};

  // Text: states and pooled stay to the end; the empty prompt's states of weighted ones meanwhile.
  const int64_t states = (Tt + request.negative_tokens) * c.t5.model * kF32Bytes;
  KX_ASSIGN_OR_RETURN(const int64_t t5, T5Bytes(c.t5, Tt, dtype));
  KX_ASSIGN_OR_RETURN(const int64_t clip, ClipBytes(c.clip, dtype));
  const int64_t hidden = c.clip.positions * c.clip.hidden * kF32Bytes;
  const bool empty_too = plan.like->weights == PromptWeights::kInterpolate;
  memory.prompt =
      states + std::max(t5 + (empty_too ? Tt * c.t5.model * kF32Bytes : 0), clip + hidden);

  // References, one after the other: the scaled picture (8 bits; f32 while it is scaled, and again
  // in [-1, 1]), activations, latents; the tokens stay.
  const int64_t tokens_of_references = Tr * width * kF32Bytes;
  std::vector<Size> encoded = plan.reference_sizes;
  if (request.masked_pixels > 0) encoded.push_back(plan.size);
  for (const Size& s : encoded) {
    const int64_t scaled = Pixels8(s, 4) + 2 * Pixels8(s, 3) * kF32Bytes;
    const int64_t encode = EncodeBytes(c.vae, s.height, s.width, dtype);
    memory.references = std::max(memory.references, states + tokens_of_references + scaled +
                                                        encode + Tokens(s) * width * kF32Bytes);
    AddVaeOps(c.vae, s, met);
  }
  if (request.previews) {
    const Size chart{PreviewMap::kChartSide, PreviewMap::kChartSide};
    memory.references =
        std::max(memory.references, states + tokens_of_references + Pixels8(chart, 3) * 5 +
                                        EncodeBytes(c.vae, chart.height, chart.width, dtype));
    AddVaeOps(c.vae, chart, met);
  }

  // Steps: the run's arena (twice with true CFG), noise and its draw, tokens, four velocities,
  // latents, ids and the rope table before it is copied.
  const bool keep = Reuses(plan.step_plan);
  const DitPlan dit{Tt, Ti, Tr, plan.steps, keep};
  KX_ASSIGN_OR_RETURN(int64_t runs, DitRunBytes(c.dit, dit, dtype));
  if (plan.two_passes) {
    KX_ASSIGN_OR_RETURN(
        const int64_t second,
        DitRunBytes(c.dit, {request.negative_tokens, Ti, Tr, plan.steps, keep}, dtype));
    runs += second;
  }
  AddDitOps(c.dit, dit, met);
  // A mask keeps its tokens, the picture's and the noise; its weights are bytes of the picture.
  const int64_t masked = request.masked_pixels > 0 ? 3 * Ti * width * kF32Bytes : 0;
  const int64_t kept = states + tokens_of_references + (4 * Ti + Tr) * width * kF32Bytes + masked +
                       request.masked_pixels;
  const int64_t passing =
      std::max(3 * Ti * width * kF32Bytes, dit.tokens() * c.dit.head_dim() * kF32Bytes);
  const int64_t ids = 3 * dit.tokens() * static_cast<int64_t>(sizeof(TokenId));
  memory.steps = kept + runs + passing + ids;

  // The last picture: the run has gone. Earlier ones are decoded beside it, and kept.
  const int64_t done =
      int64_t{request.pictures} * std::max(Pixels8(plan.size, 4), 4 * request.masked_pixels);
  memory.steps += done;
  memory.decode = kept + ids + done + int64_t{request.pictures} * Ti * width * kF32Bytes +
                  (request.pictures > 1 ? runs : 0) +
                  DecodeBytes(c.vae, plan.size.height, plan.size.width, dtype) +
                  Pixels8(plan.size, 3) * kF32Bytes + Pixels8(plan.size, 4) +
                  3 * request.masked_pixels;
  AddVaeOps(c.vae, plan.size, met);
  memory.workspace = ops.ScratchBytes(met);
  return memory;
}

Status ReserveMemory(const EditPlan& plan, const Model& model, const MemoryRequest& request,
                     const Ops& ops, int64_t limit) {
  const NetworkConfigs configs = ConfigsOf(model);
  KX_ASSIGN_OR_RETURN(const MemoryPlan memory, PlanMemory(plan, configs, request, ops));
  ReleaseFreedMemory();
  const ProcessMemory now = MemoryOfProcess();
  // Held already, and needed again: counted once.
  const int64_t held = now.anonymous + now.pinned - ops.HeldScratchBytes();
  const int64_t need = held + ops.PendingCopyBytes() + memory.peak();
  const int64_t have = limit > 0 ? limit : held + now.mapped + AvailableBytes();
  const int64_t largest =
      std::max(model.t5_pages->spans().LargestBytes(), model.dit_pages->spans().LargestBytes());
  if (need > have) {
    return NoSpace(
        "{}x{} needs {} MiB of memory ({} MiB of it are held already), {} MiB may be used; {}, or "
        "--memory-limit {}MiB",
        plan.size.width, plan.size.height, RoundedUpMiB(need), held / kMiB, have / kMiB,
        SizeThatFits(plan, configs, request, ops, have - held - largest),
        RoundedUpMiB(need + largest));
  }
  // Without a limit the system decides what stays; it would rather drop a page than fail.
  const int64_t room = limit > 0 ? have - need : std::max(have - need, largest);
  if (room < largest) {
    return NoSpace(
        "{}x{} needs {} MiB of memory and the largest block of weights {} MiB beside it, {} MiB "
        "may be used; {}, or --memory-limit {}MiB",
        plan.size.width, plan.size.height, RoundedUpMiB(need), RoundedUpMiB(largest), have / kMiB,
        SizeThatFits(plan, configs, request, ops, have - held - largest),
        RoundedUpMiB(need + largest));
  }
  KX_RETURN_IF_ERROR(model.t5_pages->SetBudget(room));
  return model.dit_pages->SetBudget(room);
}

}  // namespace kontext
