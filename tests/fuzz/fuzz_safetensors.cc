// libFuzzer: the input is a safetensors file. Whatever it claims, every tensor that is handed out
// can be read from its first byte to its last, through a pointer that suits its type.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "io/safetensors.h"

namespace kontext {
namespace {

// A promise that does not hold ends the run, so that libFuzzer keeps the input.
void Require(bool holds) {
  if (!holds) std::abort();
}

void ReadAll(const ConstTensorView& view) {
  Require(view.IsDense() && !view.empty());
  Require(reinterpret_cast<uintptr_t>(view.data()) % static_cast<uintptr_t>(SizeOf(view.dtype())) ==
          0);
  const int64_t bytes = view.shape().NumElements() * SizeOf(view.dtype());
  static volatile unsigned sum = 0;
  for (int64_t i = 0; i < bytes; ++i) sum = sum + std::to_integer<unsigned>(view.data()[i]);
}

}  // namespace
}  // namespace kontext

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A block of its own: aligned as mapped memory, and ending where AddressSanitizer watches.
  const std::unique_ptr<std::byte[]> file(new std::byte[size]);
  if (size > 0) std::memcpy(file.get(), data, size);
  const auto parsed = kontext::ParseSafetensors({file.get(), size}, "fuzz");
  if (!parsed.ok()) {
    kontext::Require(parsed.code() == kontext::Code::kBadInput && !parsed.message().empty());
    return 0;
  }
  for (const auto& [name, view] : parsed->tensors) kontext::ReadAll(view);
  return 0;
}
