// Delta: what an adapter adds to a weight matrix, computed row by row, so that no matrix of the
// weight's size is ever made. Formulas: spec lora 1. Letters: N rows, K columns, R rank.
#ifndef KONTEXT_WEIGHTS_DELTA_H_
#define KONTEXT_WEIGHTS_DELTA_H_

#include <cstdint>

#include "tensor/arena.h"
#include "tensor/view.h"
#include "tensor/weight_rows.h"

namespace kontext {

// A matrix [rows, columns]. Immutable; the views given to the constructors must outlive it.
class Delta {
 public:
  Delta(int64_t rows, int64_t columns) : rows(rows), columns(columns) {}
  virtual ~Delta() = default;
  Delta(const Delta&) = delete;
  Delta& operator=(const Delta&) = delete;

  // out[k - begin] += factor * delta[row, k] for k in [begin, end). Does not allocate.
  virtual void AddRow(int64_t row, int64_t begin, int64_t end, float factor, float* out) const = 0;

  const int64_t rows, columns;
};

// up [N,R] . down [R,K]
struct Factors {
  ConstTensorView up, down;
};

// LoRA.
class LowRankDelta : public Delta {
 public:
  explicit LowRankDelta(const Factors& f) : Delta(f.up.dim(0), f.down.dim(1)), factors(f) {}
  void AddRow(int64_t row, int64_t begin, int64_t end, float factor, float* out) const override;

  const Factors factors;
};

// LoHa: the product, element by element, of two low-rank matrices.
class HadamardDelta : public Delta {
 public:
  HadamardDelta(const Factors& a, const Factors& b)
      : Delta(a.up.dim(0), a.down.dim(1)), a_(a), b_(b) {}
  void AddRow(int64_t row, int64_t begin, int64_t end, float factor, float* out) const override;

 private:
  const Factors a_, b_;
};

// LoKr: delta[i*p + k, j*q + l] = a[i,j] * b[k,l], b [p,q]; both F32.
class KroneckerDelta : public Delta {
 public:
  KroneckerDelta(Tensor a, Tensor b)
      : Delta(a.shape()[0] * b.shape()[0], a.shape()[1] * b.shape()[1]),
        a_(std::move(a)),
        b_(std::move(b)) {}
  void AddRow(int64_t row, int64_t begin, int64_t end, float factor, float* out) const override;

 private:
  const Tensor a_, b_;
};

// The difference itself, [N,K].
class FullDelta : public Delta {
 public:
  explicit FullDelta(const ConstTensorView& difference)
      : Delta(difference.dim(0), difference.dim(1)), difference_(difference) {}
  void AddRow(int64_t row, int64_t begin, int64_t end, float factor, float* out) const override;

 private:
  const WeightRows difference_;
};

// up . down as a matrix of its own, F32; for the small factors of LoKr.
Result<Tensor> MultiplyOut(const Factors& factors);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_DELTA_H_
