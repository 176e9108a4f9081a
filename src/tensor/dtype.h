// The number formats of tensors in files and in memory.
#ifndef KONTEXT_TENSOR_DTYPE_H_
#define KONTEXT_TENSOR_DTYPE_H_

#include <cstdint>
#include <string_view>

namespace kontext {

// Activations are kF32 or kBF16. The rest are what checkpoint files hold.
enum class DType : uint8_t {
  kF32,
  kBF16,
  kF16,
  kF64,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0  // a power of two: scales of MXFP8 and its like
};

constexpr int64_t SizeOf(DType t) {
  switch (t) {
    case DType::kF64:
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kBF16:
    case DType::kF16:
    case DType::kI16:
      return 2;
    default:
      return 1;
  }
}

// The names safetensors uses: "F32", "BF16", "F8_E4M3", ...
constexpr std::string_view Name(DType t) {
  switch (t) {
    case DType::kF32:
      return "F32";
    case DType::kBF16:
      return "BF16";
    case DType::kF16:
      return "F16";
    case DType::kF64:
      return "F64";
    case DType::kI64:
      return "I64";
    case DType::kI32:
      return "I32";
    case DType::kI16:
      return "I16";
    case DType::kI8:
      return "I8";
    case DType::kU8:
      return "U8";
    case DType::kBool:
      return "BOOL";
    case DType::kF8E4M3:
      return "F8_E4M3";
    case DType::kF8E5M2:
      return "F8_E5M2";
    case DType::kF8E8M0:
      return "F8_E8M0";
  }
  return "?";
}

constexpr bool IsFloat(DType t) {
  return t == DType::kF32 || t == DType::kBF16 || t == DType::kF16;
}

}  // namespace kontext

#endif  // KONTEXT_TENSOR_DTYPE_H_
