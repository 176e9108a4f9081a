// Workspace: a backend's scratch memory. Each slot grows to the largest request and stays, so that
// a step allocates nothing once the shapes have been seen.
#ifndef KONTEXT_COMPUTE_CPU_WORKSPACE_H_
#define KONTEXT_COMPUTE_CPU_WORKSPACE_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/status.h"
#include "tensor/arena.h"

namespace kontext::cpu {

enum class Slot : uint8_t {
  kRowPanels,     // products: packed activations; attention: packed keys and values
  kColumnPanels,  // products: packed weights
  kSums,          // products: sums between slices of k
  kThreads,       // attention: the tiles each thread works on
  kBias,          // attention: the relative bias, turned round
  kOperand,       // an operand in the dtype that oneDNN wants; normed rows
  kResult,        // a result in the dtype that oneDNN gives
  kHidden,        // an MLP's hidden activations in 8 bits
  kNarrowed,      // products with low-rank branches: the activations between down and up
  kKernel,        // UpsampleConv2d: the kernel of one phase
  kLibrary,       // oneDNN's scratchpad
  kCount
};

// Bytes of every slot.
using SlotBytes = std::array<int64_t, static_cast<size_t>(Slot::kCount)>;
// A slot's bytes are at least `to`.
inline void Raise(SlotBytes& bytes, Slot slot, int64_t to) {
  int64_t& b = bytes[static_cast<size_t>(slot)];
  b = std::max(b, to);
}

class Workspace {
 public:
  // `bytes` on a 64-byte boundary, contents undefined, valid until the slot's next request.
  Result<std::byte*> Bytes(Slot slot, int64_t bytes) {
    Buffer& buffer = slots_[static_cast<size_t>(slot)];
    if (bytes > buffer.bytes()) {
      buffer = Buffer();  // the old block first, so that the two never add up
      KX_ASSIGN_OR_RETURN(buffer, Buffer::Allocate(bytes));
    }
    return buffer.data();
  }
  Result<float*> Floats(Slot slot, int64_t count) {
    KX_ASSIGN_OR_RETURN(std::byte * bytes,
                        Bytes(slot, count * static_cast<int64_t>(sizeof(float))));
    return reinterpret_cast<float*>(bytes);
  }
  int64_t held_bytes() const {
    int64_t sum = 0;
    for (const Buffer& slot : slots_) sum += slot.bytes();
    return sum;
  }

 private:
  std::array<Buffer, static_cast<size_t>(Slot::kCount)> slots_;
};

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_WORKSPACE_H_
