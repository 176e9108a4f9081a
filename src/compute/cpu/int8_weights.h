// Weights in 8 bits, as the products of int8_product.h and int8_mlp.h read them.
#ifndef KONTEXT_COMPUTE_CPU_INT8_WEIGHTS_H_
#define KONTEXT_COMPUTE_CPU_INT8_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
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

// What a weight [rows, columns] takes at most, encoded.
int64_t EncodedInt8Bytes(int64_t rows, int64_t columns);

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_INT8_WEIGHTS_H_
