#include "edit/velocity_history.h"

#include <algorithm>
#include <utility>

namespace kontext {

Result<VelocityHistory> VelocityHistory::Create(const Shape& velocity) {
  VelocityHistory history;
  for (Entry& entry : history.entries_) {
    KX_ASSIGN_OR_RETURN(entry.velocity, Tensor::Allocate(DType::kF32, velocity));
  }
  return history;
}

void VelocityHistory::Add(float sigma, ConstTensorView velocity) {
  std::swap(entries_[0], entries_[1]);
  entries_[0].sigma = sigma;
  std::copy_n(velocity.As<float>(), velocity.shape().NumElements(),
              entries_[0].velocity.view().As<float>());
  size_ = std::min(size_ + 1, 2);
}

Status VelocityHistory::Forecast(float sigma, TensorView velocity) const {
  const auto& [newer, older] = entries_;
  if (size_ < 2 || newer.sigma == older.sigma) {
    return Internal("a velocity was to be forecast from {} others, expected 2 of different levels",
                    size_);
  }
  const float ahead = (sigma - newer.sigma) / (newer.sigma - older.sigma);
  const float* v1 = newer.velocity.view().As<float>();
  const float* v0 = older.velocity.view().As<float>();
  float* v = velocity.As<float>();
  for (int64_t i = 0; i < velocity.shape().NumElements(); ++i)
    v[i] = v1[i] + ahead * (v1[i] - v0[i]);
  return Status();
}

}  // namespace kontext
