// The product of activations with a weight matrix in 8 bits (ops.h, Precision::kInt8).
#ifndef KONTEXT_COMPUTE_CPU_INT8_PRODUCT_H_
#define KONTEXT_COMPUTE_CPU_INT8_PRODUCT_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "compute/cpu/cpu_features.h"
#include "compute/cpu/norm.h"
#include "compute/cpu/panels.h"
#include "compute/cpu/workspace.h"
#include "tensor/arena.h"
#include "tensor/packed_int8.h"
#include "tensor/weight_rows.h"

namespace kontext::cpu {

// A weight [N,K] in 8 bits: parts stacked by rows, each beginning a feature block. Parts of files
// that have this form are used where they are.
class Int8Weights {
 public:
  struct Part {
    PackedInt8::Parts in;
    int64_t rows;
  };

  explicit Int8Weights(const std::vector<WeightRows>& source);

  int64_t columns() const { return columns_; }
  int64_t rotation() const { return PackedInt8::RotationFor(columns_); }
  // What is not in this form already takes so many bytes.
  int64_t encoded_bytes() const { return bytes_; }
  // The parts; what needs it is encoded into `memory`, which holds encoded_bytes() on a 64-byte
  // boundary. kBadInput if a value is not finite.
  Result<std::vector<Part>> Encode(std::byte* memory) const;

 private:
  std::vector<WeightRows> source_;
  int64_t columns_ = 0, bytes_ = 0;
};

struct Int8Product {
  ConstTensorView src;            // [T,K]
  const RowNorm* norm = nullptr;  // of its rows, if they are to be normed
  const std::vector<Int8Weights::Part>& weight;
  int64_t rotation = 1;
  ConstTensorView branches;  // [T,N] F32 to be added before the activation, or empty
  Epilogue epilogue;
  TensorView dst;  // [T,N]
};
Status MultiplyInt8(Int8Path path, const Int8Product& product, Workspace& space);
// The most it takes of the workspace: raises `bytes` to that.
void Int8ProductSlots(Int8Path path, int64_t rows, int64_t depth, int64_t columns,
                      SlotBytes& bytes);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_PRODUCT_H_
