// VaeRun: what the stages of one half of the autoencoder share, above all its memory.
//
// Three buffers suffice. X holds the stage's input and, afterwards, its output; A and B are free.
// Each buffer is as large as the largest tensor that it ever holds, which a planning run finds: the
// same walk through the stages, without ops. So plan and run cannot differ.
//
// The stages work in the backend's activation dtype (as Diffusers runs the whole autoencoder in the
// pipeline's); at full picture size the f32 residual stream of the other networks would cost
// gigabytes.
#ifndef KONTEXT_VAE_RUN_H_
#define KONTEXT_VAE_RUN_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "compute/ops.h"
#include "tensor/arena.h"
#include "tensor/observer.h"
#include "vae/vae.h"

namespace kontext {

enum class Slot : uint8_t { kX, kA, kB };

class VaeRun {
 public:
  // A planning run: ops() is null, and the views have no memory.
  VaeRun(const VaeConfig& config, DType activations);
  // A run in buffers of the sizes that `plan` has found.
  static Result<VaeRun> Create(const VaeRun& plan, Ops& ops, Observer* observer);

  const VaeConfig& config() const { return *config_; }
  Ops* ops() const { return ops_; }
  DType dtype() const { return dtype_; }

  // The slot's memory as a tensor of this shape; what it held is lost (unless it is the same
  // tensor).
  TensorView Take(Slot slot, const Shape& shape) { return Take(slot, dtype_, shape); }
  TensorView Take(Slot slot, DType dtype, const Shape& shape);

  // The current activations [h,w,C], in slot X.
  TensorView x() const { return x_; }
  // Slot X holds `view` now.
  void SetX(TensorView view) { x_ = view; }
  // X and `slot` change places: `view`, which is in `slot`, becomes the current activations.
  void SetXFrom(Slot slot, TensorView view);

  // After a block: the first failure, or the caller's wish to stop.
  Status Check();
  // Shows a finished intermediate to the observer. After Check().
  void Show(std::string_view name, ConstTensorView value) const;

  // All buffers together: planned, or really taken so far.
  int64_t bytes() const;

 private:
  const VaeConfig* config_;
  DType dtype_;
  Ops* ops_ = nullptr;
  Observer* observer_ = nullptr;
  TensorView x_;
  std::array<uint8_t, 3> buffer_of_{0, 1, 2};  // by Slot
  std::array<int64_t, 3> taken_{};             // the most bytes taken of each buffer
  Arena arena_;
  std::array<TensorView, 3> buffers_;  // U8, in arena_; without memory while planning
  Status failure_;
};

// kBadInput unless `src` is [h,w,channels] F32 without gaps, its sides multiples of `multiple`.
Status CheckInput(std::string_view name, const ConstTensorView& src, int64_t channels,
                  int64_t multiple);

}  // namespace kontext

#endif  // KONTEXT_VAE_RUN_H_
