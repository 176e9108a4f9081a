// The activation functions (spec architecture 0).
#ifndef KONTEXT_COMPUTE_REFERENCE_ACTIVATION_H_
#define KONTEXT_COMPUTE_REFERENCE_ACTIVATION_H_

#include <cmath>

#include "compute/ops.h"

namespace kontext {

inline double Activated(Activation act, double x) {
  constexpr double kSqrt2OverPi = 0.79788456080286535588;
  switch (act) {
    case Activation::kNone:
      return x;
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(kSqrt2OverPi * (x + 0.044715 * x * x * x)));
    case Activation::kQuickGelu:
      return x / (1 + std::exp(-1.702 * x));
  }
  return x;
}

}  // namespace kontext

#endif  // KONTEXT_COMPUTE_REFERENCE_ACTIVATION_H_
