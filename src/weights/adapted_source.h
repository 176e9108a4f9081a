// AdaptedSource: a network's weights with adapters on them. LoRA goes beside the products as
// low-rank branches, which keeps its small numbers exact on weights of any encoding; on request,
// and always for what has no such form (LoHa, LoKr, differences, DoRA), it is merged where rows are
// decoded.
#ifndef KONTEXT_WEIGHTS_ADAPTED_SOURCE_H_
#define KONTEXT_WEIGHTS_ADAPTED_SOURCE_H_

#include <map>
#include <string>
#include <vector>

#include "weights/adapter.h"
#include "weights/merged_matrix.h"
#include "weights/table.h"

namespace kontext {

struct AppliedAdapter {
  const Adapter* adapter = nullptr;  // must outlive the weights that are loaded
  float strength = 1;                // 0: as if it were not there
};

class AdaptedSource : public TensorSource {
 public:
  // `base` must outlive the source. With `merge` every adapter is merged.
  AdaptedSource(TensorSource& base, const std::vector<AppliedAdapter>& adapters, bool merge);

  Result<std::vector<WeightRows>> Find(const std::string& name, const Shape& shape) override;
  std::vector<LowRank> Branches(const std::string& name) override;
  std::vector<std::string> Unasked() const override { return base_.Unasked(); }
  std::string description() const override { return base_.description(); }
  std::string NameInSource(const std::string& name) const override {
    return base_.NameInSource(name);
  }
  std::string Guess() const override { return base_.Guess(); }

 private:
  Result<std::vector<WeightRows>> AddBiases(const std::vector<WeightRows>& pieces,
                                            const std::string& name, const Shape& shape);

  TensorSource& base_;
  std::map<std::string, std::vector<MergeTerm>> merged_, beside_, biases_;  // by tensor
  std::map<std::string, Tensor> sums_;                                      // biases, by tensor
};

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_ADAPTED_SOURCE_H_
