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

// Rows of a product in 8 bits with branches, at a time: what they add is one more result.
constexpr int64_t kBranchedRows = 1024;

class Branches {
 public:
  // The branches of a product of `features` features. R is the sum of their ranks.
  Branches(const std::vector<LowRank>& branches, int64_t features);

  bool empty() const { return rank_ == 0; }
  int64_t rank() const { return rank_; }  // R
  // downs [R,K] and ups [features,R], factors included; unless empty().
  const StackedRows& ups() const { return *ups_; }
  // x downs^T [T,R] for x [T,K], F32, in the workspace until its next product with branches.
  Result<ConstTensorView> Narrowed(const ConstTensorView& x, Workspace& space) const;

 private:
  int64_t rank_ = 0;
  std::optional<StackedRows> downs_, ups_;
};

// The most that branches of `rank` beside products of these sizes take of the workspace: raises
// `bytes` to that.
void BranchSlots(ProductPath path, int64_t rank, const OpSizes& s, SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_BRANCHES_H_
