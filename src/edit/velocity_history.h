// The last two velocities that were computed, and the line through them.
#ifndef KONTEXT_EDIT_VELOCITY_HISTORY_H_
#define KONTEXT_EDIT_VELOCITY_HISTORY_H_

#include <array>

#include "base/status.h"
#include "tensor/arena.h"

namespace kontext {

// TaylorSeer-Lite of first order (arXiv:2503.06923; performance.md 4), with the noise level sigma
// as the variable in place of the step's number, since levels are not evenly spaced:
//   v(sigma) ~ v1 + (v1 - v0) / (sigma1 - sigma0) * (sigma - sigma1)
// Exact if the velocity is linear in sigma. Costs no pass and no copy of anything but velocities.
class VelocityHistory {
 public:
  static Result<VelocityHistory> Create(const Shape& velocity);

  // velocity F32, of Create's shape.
  void Add(float sigma, ConstTensorView velocity);
  int size() const { return size_; }  // 0 to 2
  // kInternal unless two velocities of different levels are known.
  Status Forecast(float sigma, TensorView velocity) const;

 private:
  struct Entry {
    float sigma = 0;
    Tensor velocity;
  };
  std::array<Entry, 2> entries_;  // the newer one first
  int size_ = 0;
};

}  // namespace kontext

#endif  // KONTEXT_EDIT_VELOCITY_HISTORY_H_
