#include "compute/cpu/bare_matmul.h"

#include <omp.h>

#include <cstring>
#include <utility>

#include "compute/cpu/onednn.h"
#include "compute/cpu/workspace.h"
#include "tensor/arena.h"

namespace kontext::cpu {
namespace {

using onednn::Type;

onednn::MatMulSpec SpecFor(BareMatMul::Kind kind) {
  onednn::MatMulSpec s{.m = 2560, .k = 3072, .n = 12288, .src_stride = 3072, .dst_stride = 12288};
  switch (kind) {
    case BareMatMul::Kind::kF32:
      break;
    case BareMatMul::Kind::kBF16:
      s.src = s.weights = s.dst = Type::kBF16;
      break;
    case BareMatMul::Kind::kS8:
    case BareMatMul::Kind::kU8S8:
      s.src = kind == BareMatMul::Kind::kS8 ? Type::kS8 : Type::kU8;
      s.weights = Type::kS8;
      s.dst = Type::kS32;
      break;
  }
  s.threads = omp_get_max_threads();
  return s;
}

// Zeros: the rate of a dense product does not depend on the values, short of denormals.
Result<Buffer> Zeros(int64_t elements) {
  KX_ASSIGN_OR_RETURN(Buffer b, Buffer::Allocate(elements * SizeOf(DType::kF32)));
  std::memset(b.data(), 0, static_cast<size_t>(b.bytes()));
  return b;
}

}  // namespace

struct BareMatMul::Impl {
  onednn::MatMulSpec spec;
  onednn::Library library;
  onednn::Weights weights;
  Buffer src, dst;
  Workspace space;
  std::string implementation;
};

BareMatMul::BareMatMul(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BareMatMul::~BareMatMul() = default;
BareMatMul::BareMatMul(BareMatMul&&) noexcept = default;
BareMatMul& BareMatMul::operator=(BareMatMul&&) noexcept = default;

Result<BareMatMul> BareMatMul::Make(Kind kind) {
  auto impl = std::make_unique<Impl>();
  impl->spec = SpecFor(kind);
  const onednn::MatMulSpec& s = impl->spec;
  KX_ASSIGN_OR_RETURN(impl->implementation, impl->library.Implementation(s));
  KX_ASSIGN_OR_RETURN(impl->src, Zeros(s.m * s.k));
  KX_ASSIGN_OR_RETURN(impl->dst, Zeros(s.m * s.n));
  KX_ASSIGN_OR_RETURN(const Buffer dense, Zeros(s.k * s.n));
  KX_ASSIGN_OR_RETURN(impl->weights, impl->library.PackMatrix(s, dense.data()));
  return BareMatMul(std::move(impl));
}

Status BareMatMul::Run() {
  return impl_->library.MatMul(impl_->spec, impl_->src.data(), impl_->weights, nullptr,
                               impl_->dst.data(), impl_->space);
}

const std::string& BareMatMul::implementation() const { return impl_->implementation; }

}  // namespace kontext::cpu
