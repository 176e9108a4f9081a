// Branches: the low-rank branches of a product (LowRank in ops.h) as one pair of matrices, so that
// their sum is one more term of the product: y = [x | x downs^T] . [weight | ups]^T.
#ifndef KONTEXT_COMPUTE_CPU_BRANCHES_H_
#define KONTEXT_COMPUTE_CPU_BRANCHES_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "compute/cpu/product.h"
#include "compute/ops.h"

namespace kontext::cpu {

class Branches {
 public:
  // The branches of a product of `features` features. R is the sum of their ranks.
  Branches(const std::vector<LowRank>& branches, int64_t features);

  bool empty() const { return rank_ == 0; }
  // downs [R,K] and ups [features,R], factors included; unless empty().
  const StackedRows& ups() const { return *ups_; }
  // x downs^T [T,R] for x [T,K], F32, in the workspace until its next product with branches.
  Result<ConstTensorView> Narrowed(const ConstTensorView& x, Workspace& space) const;

 private:
  int64_t rank_ = 0;
  std::optional<StackedRows> downs_, ups_;
};

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_BRANCHES_H_
