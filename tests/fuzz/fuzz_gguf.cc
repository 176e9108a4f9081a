// libFuzzer: the input is a GGUF file. Whatever it claims, what is handed out can be decoded.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "decode_weights.h"
#include "weights/gguf_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kontext::Require;
  // A block of its own: aligned as mapped memory, and ending where AddressSanitizer watches.
  const std::unique_ptr<std::byte[]> file(new std::byte[size]);
  if (size > 0) std::memcpy(file.get(), data, size);
  const auto gguf = kontext::ParseGguf(kontext::ByteSpan(file.get(), size), "fuzz");
  if (!gguf.ok()) {
    Require(gguf.code() == kontext::Code::kBadInput && !gguf.message().empty());
    return 0;
  }
  std::vector<kontext::Buffer> copies;
  const auto weights = kontext::GgufWeights(*gguf, "fuzz", copies);
  if (!weights.ok()) {
    Require(weights.code() == kontext::Code::kBadInput && !weights.message().empty());
    return 0;
  }
  for (const auto& [name, weight] : *weights) kontext::DecodeWeight(weight);
  return 0;
}
