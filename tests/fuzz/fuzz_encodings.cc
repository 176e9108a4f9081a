// libFuzzer: the input is a safetensors file with encoded weights. Whatever its companions claim,
// what is handed out can be decoded.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "decode_weights.h"
#include "io/safetensors.h"
#include "weights/encodings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kontext::Require;
  // A block of its own: aligned as mapped memory, and ending where AddressSanitizer watches.
  const std::unique_ptr<std::byte[]> file(new std::byte[size]);
  if (size > 0) std::memcpy(file.get(), data, size);
  const auto parsed = kontext::ParseSafetensors({file.get(), size}, "fuzz");
  if (!parsed.ok()) return 0;  // fuzz_safetensors looks at that
  const auto weights = kontext::FoldEncodings(parsed->tensors, parsed->metadata, "fuzz");
  if (!weights.ok()) {
    Require(weights.code() == kontext::Code::kBadInput && !weights.message().empty());
    return 0;
  }
  for (const auto& [name, weight] : *weights) kontext::DecodeWeight(weight);
  return 0;
}
