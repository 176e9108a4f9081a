#include "vae/run.h"

#include <algorithm>
#include <utility>

namespace kontext {
namespace {

// The arena that holds the three buffers; planning or not.
Status TakeBuffers(const std::array<int64_t, 3>& bytes, Arena& arena,
                   std::array<TensorView, 3>& buffers) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    KX_ASSIGN_OR_RETURN(buffers[i], arena.Take(DType::kU8, {bytes[i]}));
  }
  return Status();
}

}  // namespace

VaeRun::VaeRun(const VaeConfig& config, DType activations)
    : config_(&config), dtype_(activations) {}

Result<VaeRun> VaeRun::Create(const VaeRun& plan, Ops& ops, Observer* observer) {
  VaeRun run(*plan.config_, plan.dtype_);
  run.ops_ = &ops;
  run.observer_ = observer;
  KX_ASSIGN_OR_RETURN(run.arena_, Arena::Allocate(plan.bytes()));
  KX_RETURN_IF_ERROR(TakeBuffers(plan.taken_, run.arena_, run.buffers_));
  return run;
}

TensorView VaeRun::Take(Slot slot, DType dtype, const Shape& shape) {
  const size_t i = buffer_of_[static_cast<size_t>(slot)];
  const int64_t bytes = shape.NumElements() * SizeOf(dtype);
  taken_[i] = std::max(taken_[i], bytes);
  if (ops_ == nullptr) return TensorView(nullptr, dtype, shape);
  if (bytes > buffers_[i].dim(0)) {
    if (failure_.ok()) {
      failure_ = Internal("the autoencoder's buffer {} holds {} bytes, the plan missed {}", i,
                          buffers_[i].dim(0), shape.Str());
    }
    return TensorView(nullptr, dtype, shape);
  }
  return TensorView(buffers_[i].data(), dtype, shape);
}

void VaeRun::SetXFrom(Slot slot, TensorView view) {
  std::swap(buffer_of_[static_cast<size_t>(Slot::kX)], buffer_of_[static_cast<size_t>(slot)]);
  x_ = view;
}

Status VaeRun::Check() {
  if (ops_ == nullptr) return Status();
  KX_RETURN_IF_ERROR(failure_);
  KX_RETURN_IF_ERROR(ops_->TakeStatus());
  if (observer_ == nullptr || !observer_->Cancelled()) return Status();
  return Status(Code::kCancelled, "cancelled in the autoencoder");
}

void VaeRun::Show(std::string_view name, ConstTensorView value) const {
  if (observer_ != nullptr) observer_->OnTensor(name, value);
}

int64_t VaeRun::bytes() const {
  Arena plan;
  std::array<TensorView, 3> unused;
  return TakeBuffers(taken_, plan, unused).ok() ? plan.used_bytes() : 0;
}

Status CheckInput(std::string_view name, const ConstTensorView& src, int64_t channels,
                  int64_t multiple) {
  const auto side = [multiple](int64_t n) { return n > 0 && n % multiple == 0; };
  if (src.rank() == 3 && src.dtype() == DType::kF32 && src.IsDense() && src.dim(2) == channels &&
      side(src.dim(0)) && side(src.dim(1))) {
    return Status();
  }
  return BadInput("autoencoder: {} {} {}, expected a dense [h,w,{}] F32, h and w multiples of {}",
                  name, src.shape().Str(), Name(src.dtype()), channels, multiple);
}

}  // namespace kontext
