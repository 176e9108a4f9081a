#include "compute/reference/activation.h"
#include "compute/reference/product.h"
#include "compute/reference/reference.h"
#include "compute/reference/reference_ops.h"

namespace kontext {
namespace {

struct Weights : LinearWeights {
  Weights(int64_t out, int64_t in, const LinearSource& from)
      : LinearWeights(out, in, !from.bias.empty()), weight(from.weight) {
    for (const ConstTensorView& part : from.bias) bias.push_back(CopyOfVector(part));
  }
  const std::vector<WeightRows> weight;  // the checkpoint's own memory, part by part
  std::vector<std::vector<float>> bias;  // of each part, or none
};

}  // namespace

std::unique_ptr<Ops> MakeReferenceOps(DType activations) {
  return std::make_unique<ReferenceOps>(activations);
}

Result<std::unique_ptr<LinearWeights>> ReferenceOps::DoPrepareLinear(const LinearSource& source) {
  int64_t out = 0;
  for (const WeightRows& part : source.weight) out += part.dim(0);
  return std::unique_ptr<LinearWeights>(
      std::make_unique<Weights>(out, source.weight[0].dim(1), source));
}

void ReferenceOps::DoLinear(ConstTensorView src, const LinearWeights& w, Activation act,
                            TensorView dst) {
  const auto* weights = dynamic_cast<const Weights*>(&w);
  if (weights == nullptr) return Fail(Internal("Linear: weights of another backend"));
  int64_t n0 = 0;  // the part's first column of dst
  for (size_t i = 0; i < weights->weight.size(); ++i) {
    ForEachProduct(
        weights->weight[i], w.has_bias ? weights->bias[i].data() : nullptr, src.dim(0),
        [&](int64_t t, double* row) { LoadRow(src, t * src.stride(0), src.dim(1), row); },
        [&](int64_t t, int64_t n, double y) {
          Store(dst, t * dst.stride(0) + n0 + n, Activated(act, y));
        });
    n0 += weights->weight[i].dim(0);
  }
}

}  // namespace kontext
