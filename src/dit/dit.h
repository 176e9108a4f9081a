// The FLUX transformer: text, target and reference tokens -> the velocity of the target tokens.
//
// Letters: Tt text tokens, Ti target tokens, Tr reference tokens, T = Tt + Ti + Tr; D hidden, H
// heads, Dh = D / H, F = mlp. Order of the tokens everywhere: text, target, reference.
#ifndef KONTEXT_DIT_DIT_H_
#define KONTEXT_DIT_DIT_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "dit/dit_config.h"
#include "dit/dit_weights.h"
#include "tensor/observer.h"

namespace kontext {

// The position of a token: (index, row, column). Text 0,0,0; target 0,y,x; reference 1,y,x.
using TokenId = std::array<float, 3>;

// How timestep and guidance are rounded before their embedding (spec architecture 7).
enum class TimestepPrecision { kExact, kBfl, kDiffusers };

// The sizes of a run beside the model's own.
struct DitPlan {
  int64_t text = 0, target = 0, reference = 0;  // Tt, Ti, Tr
  int64_t steps = 0;
  bool keep_reference = false;  // keys and values of the reference, for ForwardReusing
  int64_t tokens() const { return text + target + reference; }  // T
};

// The bytes a DitRun will allocate; kUsage or kBadInput if plan or config are out of bounds.
Result<int64_t> DitRunBytes(const DitConfig& config, const DitPlan& plan, DType activations);

// What stays the same over all steps of one edit.
struct DitInputs {
  ConstTensorView txt;           // [Tt, context] F32: T5 states
  ConstTensorView pooled;        // [vec] F32: CLIP pooled
  std::vector<TokenId> ids;      // [Tt + Ti + Tr]
  int64_t target_tokens = 0;     // Ti
  std::vector<float> timesteps;  // sigma of every step, (0, 1]
  float guidance = 2.5f;
  TimestepPrecision precision = TimestepPrecision::kExact;
  bool keep_reference = false;  // for ForwardReusing
};

// One edit's run: activations planned and allocated once, rope tables, txt_in(T5), and the
// modulations of all steps computed in one product per table before the loop (exact: they do not
// depend on x).
class DitRun {
 public:
  static Result<std::unique_ptr<DitRun>> Create(const DitConfig& config, const DitWeights& weights,
                                                const DitInputs& inputs, Ops& ops,
                                                Observer* observer);
  ~DitRun();

  // tokens [Ti + Tr, in_channels] F32, target first -> velocity [Ti, out_channels] F32 at
  // timesteps[step].
  Status Forward(int step, ConstTensorView tokens, TensorView velocity);

  // The same by text and target rows alone: the reference's keys and values, of every block after
  // norm and rope, are those of the last Forward. Exact if nothing changed since; an approximation
  // else, for the reference's rows follow the timestep and attend to the target (docs/modes.md).
  // kInternal without keep_reference or before the first Forward.
  Status ForwardReusing(int step, ConstTensorView tokens, TensorView velocity);

  int64_t activation_bytes() const;  // as DitRunBytes said

 private:
  struct Impl;
  Status Pass(int step, int64_t rows, ConstTensorView tokens, TensorView velocity);
  explicit DitRun(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kontext

#endif  // KONTEXT_DIT_DIT_H_
