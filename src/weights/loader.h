// LoadWeights: fills a network's weight struct from a TensorSource in one pass.
#ifndef KONTEXT_WEIGHTS_LOADER_H_
#define KONTEXT_WEIGHTS_LOADER_H_

#include <functional>

#include "base/status.h"
#include "compute/ops.h"
#include "weights/residency.h"
#include "weights/table.h"

namespace kontext {

// `visit` calls the network's Visit function with the visitor it gets. All missing, unexpected and
// mis-shaped tensors are collected and reported in one kBadInput message; nothing is skipped,
// padded or guessed. Products are prepared by `ops`.
//
// `copies`: what the backend may copy of the products' weights. `spans`, unless null, gets what
// each section reads of mapped files (embedding tables apart).
struct LoadOptions {
  Copies copies = Copies::kAll;
  WeightSpans* spans = nullptr;
};
Status LoadWeights(const std::function<void(WeightVisitor&)>& visit, TensorSource& source, Ops& ops,
                   const LoadOptions& options = {});

// The number of parameters and tensors of a table, for plans and messages.
struct WeightCount {
  int64_t tensors = 0;
  int64_t parameters = 0;
};
WeightCount CountWeights(const std::function<void(WeightVisitor&)>& visit);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_LOADER_H_
