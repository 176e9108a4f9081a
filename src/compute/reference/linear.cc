#include <utility>

#include "compute/reference/activation.h"
#include "compute/reference/int8.h"
#include "compute/reference/product.h"
#include "compute/reference/reference.h"
#include "compute/reference/reference_ops.h"

namespace kontext {
namespace {

struct Weights : LinearWeights {
  Weights(int64_t out, int64_t in, const LinearSource& from)
      : LinearWeights(out, in, !from.bias.empty()), weight(from.weight), low_rank(from.low_rank) {
    for (size_t i = 0; from.coarsest == Precision::kInt8 && i < weight.size(); ++i) {
      int8.push_back(WeightInInt8(weight[i]));
    }
    for (const ConstTensorView& part : from.bias) bias.push_back(CopyOfVector(part));
  }
  const std::vector<WeightRows> weight;  // the checkpoint's own memory, part by part
  std::vector<std::vector<float>> bias;  // of each part, or none
  std::vector<Int8Rows> int8;            // of each part, if the product may run in 8 bits
  const std::vector<LowRank> low_rank;
};

using Matrix = std::vector<double>;  // row-major

// What the branches add to the product: factor * (src . down^T) . up^T, [T,N].
Matrix SumOfBranches(const Weights& w, const ConstTensorView& src) {
  const int64_t T = src.dim(0), N = w.out_features;
  Matrix sum(static_cast<size_t>(w.low_rank.empty() ? 0 : T * N));
  for (const LowRank& branch : w.low_rank) {
    const int64_t R = branch.down.dim(0);
    Matrix narrowed(static_cast<size_t>(T * R));
    ForEachProduct(
        branch.down, nullptr, T,
        [&](int64_t t, double* row) { LoadRow(src, t * src.stride(0), src.dim(1), row); },
        [&](int64_t t, int64_t r, double y) { narrowed[static_cast<size_t>(t * R + r)] = y; });
    ForEachProduct(
        branch.up, nullptr, T,
        [&](int64_t t, double* row) { std::copy_n(narrowed.data() + t * R, R, row); },
        [&](int64_t t, int64_t n, double y) {
          sum[static_cast<size_t>(t * N + branch.first_row + n)] +=
              static_cast<double>(branch.factor) * y;
        });
  }
  return sum;
}

// store(t, n, y) for every row and feature of part i.
template <class StoreFn>
void ForEachOfPart(const Weights& w, size_t i, Precision precision, const ConstTensorView& src,
                   StoreFn store) {
  const float* bias = w.has_bias ? w.bias[i].data() : nullptr;
  const auto load = [&](int64_t t, double* row) {
    LoadRow(src, t * src.stride(0), src.dim(1), row);
  };
  if (w.int8.empty() || precision != Precision::kInt8) {
    return ForEachProduct(w.weight[i], bias, src.dim(0), load, store);
  }
  const int64_t K = src.dim(1);
  std::vector<float> values(static_cast<size_t>(src.dim(0) * K));
  for (int64_t j = 0; j < std::ssize(values); ++j) {
    values[static_cast<size_t>(j)] = static_cast<float>(Load(src, j / K * src.stride(0) + j % K));
  }
  const Int8Rows x = ActivationsInInt8(std::move(values), K);
  for (int64_t t = 0; t < src.dim(0); ++t) {
    for (int64_t n = 0; n < w.weight[i].dim(0); ++n) {
      store(t, n,
            Int8Dot(x, t, w.int8[i], n) + (bias == nullptr ? 0.0 : static_cast<double>(bias[n])));
    }
  }
}

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
  const Matrix branches = SumOfBranches(*weights, src);
  int64_t n0 = 0;  // the part's first column of dst
  for (size_t i = 0; i < weights->weight.size(); ++i) {
    ForEachOfPart(*weights, i, precision(), src, [&](int64_t t, int64_t n, double y) {
      if (!branches.empty()) y += branches[static_cast<size_t>(t * w.out_features + n0 + n)];
      Store(dst, t * dst.stride(0) + n0 + n, Activated(act, y));
    });
    n0 += weights->weight[i].dim(0);
  }
}

}  // namespace kontext
