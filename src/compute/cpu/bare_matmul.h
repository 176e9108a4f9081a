// The yardstick of every speed we state: what a bare oneDNN product of 2560 x 3072 by 3072 x 12288
// (FLUX's largest, at 512 x 512 pixels with a reference) reaches on this machine, now.
#ifndef KONTEXT_COMPUTE_CPU_BARE_MATMUL_H_
#define KONTEXT_COMPUTE_CPU_BARE_MATMUL_H_

#include <memory>
#include <string>

#include "base/status.h"

namespace kontext::cpu {

class BareMatMul {
 public:
  enum class Kind { kF32, kBF16, kS8, kU8S8 };

  static constexpr double kOperations = 2.0 * 2560 * 3072 * 12288;

  // Its operands, weights in oneDNN's preferred layout. An error where oneDNN refuses the dtypes.
  static Result<BareMatMul> Make(Kind kind);
  ~BareMatMul();
  BareMatMul(BareMatMul&&) noexcept;
  BareMatMul& operator=(BareMatMul&&) noexcept;

  // One product on the caller's OpenMP threads.
  Status Run();
  // What oneDNN runs for it: "jit:avx2", "gemm:jit", "brg:avx512_core_bf16".
  const std::string& implementation() const;

 private:
  struct Impl;
  explicit BareMatMul(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kontext::cpu

#endif  // KONTEXT_COMPUTE_CPU_BARE_MATMUL_H_
