#include "dit/dit_config.h"

#include <cmath>

namespace kontext {
namespace {

Status InRange(const char* what, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return BadInput("transformer config: {} is {}, expected {} to {}", what, value, low, high);
}

}  // namespace

// The bounds are far above FLUX.1's sizes and low enough that no product of them overflows int64_t.
Status CheckDitConfig(const DitConfig& c) {
  KX_RETURN_IF_ERROR(InRange("in_channels", c.in_channels, 1, 1 << 16));
  KX_RETURN_IF_ERROR(InRange("out_channels", c.out_channels, 1, 1 << 16));
  KX_RETURN_IF_ERROR(InRange("the pooled width", c.vec, 1, 1 << 16));
  KX_RETURN_IF_ERROR(InRange("the text width", c.context, 1, 1 << 16));
  KX_RETURN_IF_ERROR(InRange("the hidden width", c.hidden, 1, 1 << 16));
  KX_RETURN_IF_ERROR(InRange("the number of heads", c.heads, 1, c.hidden));
  KX_RETURN_IF_ERROR(InRange("the MLP width", c.mlp, 1, 1 << 18));
  KX_RETURN_IF_ERROR(InRange("the number of double blocks", c.depth, 0, 1024));
  KX_RETURN_IF_ERROR(InRange("the number of single blocks", c.depth_single, 0, 1024));
  if (c.hidden % c.heads != 0) {
    return BadInput("transformer config: hidden width {} is no multiple of {} heads", c.hidden,
                    c.heads);
  }
  int64_t sum = 0;
  for (const int64_t axis : c.axes) {
    KX_RETURN_IF_ERROR(InRange("a rope axis", axis, 0, c.head_dim()));
    if (axis % 2 != 0)
      return BadInput("transformer config: a rope axis is {}, expected an even number", axis);
    sum += axis;
  }
  if (sum != c.head_dim()) {
    return BadInput(
        "transformer config: the rope axes {}, {}, {} add up to {}, expected the head width {}",
        c.axes[0], c.axes[1], c.axes[2], sum, c.head_dim());
  }
  if (!std::isfinite(c.theta) || c.theta < 1.0) {
    return BadInput("transformer config: rope theta is {}, expected at least 1", c.theta);
  }
  return {};
}

}  // namespace kontext
