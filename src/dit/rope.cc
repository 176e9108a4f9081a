#include "dit/rope.h"

#include <cmath>

namespace kontext {

// Angles in double, as Diffusers has them; BFL's are float (math.py:15-22). The difference is below
// 1e-5 for positions up to 128.
std::vector<float> RopeTable(const DitConfig& config, const std::vector<TokenId>& ids) {
  std::vector<float> table;
  table.reserve(ids.size() * static_cast<size_t>(config.head_dim()));
  for (const TokenId& id : ids) {
    for (size_t axis = 0; axis < config.axes.size(); ++axis) {
      const int64_t d = config.axes[axis];
      for (int64_t j = 0; j < d / 2; ++j) {
        const double frequency =
            std::pow(config.theta, -2.0 * static_cast<double>(j) / static_cast<double>(d));
        const double angle = double{id[axis]} * frequency;
        table.push_back(static_cast<float>(std::cos(angle)));
        table.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
  return table;
}

}  // namespace kontext
