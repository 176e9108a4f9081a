// All that we use of oneDNN. Its header is included by onednn.cc alone, which is also the only
// place that knows the difference between its versions 2 and 3.
#ifndef KONTEXT_COMPUTE_CPU_ONEDNN_H_
#define KONTEXT_COMPUTE_CPU_ONEDNN_H_

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "compute/cpu/cpu_features.h"
#include "compute/cpu/workspace.h"
#include "compute/ops.h"

namespace kontext::onednn {

enum class Type : uint8_t { kF32, kBF16, kS8, kU8, kS32 };

// Of the activations' dtypes.
constexpr Type TypeOf(DType t) { return t == DType::kBF16 ? Type::kBF16 : Type::kF32; }

// "2.6.3"
std::string Version();
// Keeps oneDNN from using instructions above `isa`; only before its first use in the process.
Status LimitIsa(cpu::Isa isa);

// dst [m,n] = act(src [m,k] * weights^T + bias)
struct MatMulSpec {
  int64_t m = 0, k = 0, n = 0;
  Type src = Type::kF32, weights = Type::kF32, dst = Type::kF32;
  int64_t src_stride = 0, dst_stride = 0;  // elements from row to row
  bool bias = false;
  Activation act = Activation::kNone;
  int threads = 1;  // oneDNN plans for a number of threads when it makes a primitive
  auto operator<=>(const MatMulSpec&) const = default;  // NOLINT(modernize-use-nullptr): it is 0
};

// dst = convolution(src) + bias (+ what dst held before), channels last.
struct ConvSpec {
  int64_t h = 0, w = 0, in = 0, out = 0, kernel = 0;
  int64_t above = 0, below = 0, left = 0, right = 0;  // zeros around it
  int stride = 1;
  Type src = Type::kF32, weights = Type::kF32, dst = Type::kF32;
  bool accumulate = false;
  int threads = 1;
  auto operator<=>(const ConvSpec&) const = default;  // NOLINT(modernize-use-nullptr)
};

// Weights in the layouts that primitives asked for; usually there is one.
class Weights {
 public:
  Weights();
  ~Weights();
  Weights(Weights&&) noexcept;
  Weights& operator=(Weights&&) noexcept;

 private:
  friend class Library;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// An engine with the primitives made so far, one per spec: making one costs about as much as a
// small product.
class Library {
 public:
  Library();
  ~Library();

  // Brings dense weights [n,k] of spec.weights' type into the layout that products like `spec`
  // want.
  Result<Weights> PackMatrix(const MatMulSpec& spec, const void* dense);
  Status MatMul(const MatMulSpec& spec, const void* src, Weights& weights, const float* bias,
                void* dst, cpu::Workspace& space);

  // The same for dense weights [out,in,kernel,kernel], F32 whatever spec.weights says.
  Result<Weights> PackConv(const ConvSpec& spec, const float* dense);
  Status Convolve(const ConvSpec& spec, const void* src, Weights& weights, const float* bias,
                  void* dst, cpu::Workspace& space);

  // The implementation that oneDNN chose for the spec ("jit:avx2"), or why it refuses.
  Result<std::string> Implementation(const MatMulSpec& spec);
  Result<std::string> Implementation(const ConvSpec& spec);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kontext::onednn

#endif  // KONTEXT_COMPUTE_CPU_ONEDNN_H_
