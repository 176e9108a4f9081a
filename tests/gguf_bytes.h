// Writes GGUF files byte by byte, right ones and wrong ones: the other side of io/gguf.h.
#ifndef KONTEXT_TESTS_GGUF_BYTES_H_
#define KONTEXT_TESTS_GGUF_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kontext {

class GgufBytes {
 public:
  template <class T>
  static std::string Raw(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
  static std::string Text(std::string_view text) {
    return Raw(uint64_t{text.size()}) + std::string(text);
  }

  // A key-value: `type` and `value` as they are to stand in the file.
  GgufBytes& Value(std::string_view key, uint32_t type, const std::string& value) {
    values_ += Text(key) + Raw(type) + value;
    ++value_count;
    return *this;
  }
  GgufBytes& String(std::string_view key, std::string_view value) {
    return Value(key, 8, Text(value));
  }
  GgufBytes& U32(std::string_view key, uint32_t value) { return Value(key, 4, Raw(value)); }
  GgufBytes& I32List(std::string_view key, const std::vector<int32_t>& list) {
    std::string bytes = Raw(uint32_t{5}) + Raw(uint64_t{list.size()});
    for (const int32_t n : list) bytes += Raw(n);
    return Value(key, 9, bytes);
  }

  // `sizes` innermost first, as in the file. The data follow those of the tensor before, aligned;
  // `offset` says otherwise.
  GgufBytes& Tensor(std::string_view name, const std::vector<int64_t>& sizes, uint32_t type,
                    const std::string& data, std::optional<uint64_t> offset = std::nullopt) {
    data_.resize((data_.size() + alignment - 1) / alignment * alignment, '\0');
    tensors_ += Text(name) + Raw(static_cast<uint32_t>(sizes.size()));
    for (const int64_t n : sizes) tensors_ += Raw(n);
    tensors_ += Raw(type) + Raw(offset.value_or(data_.size()));
    data_ += data;
    ++tensor_count;
    return *this;
  }

  std::string Str() const {
    std::string file = magic + Raw(version) + Raw(tensor_count) + Raw(value_count);
    file += values_ + tensors_;
    file.resize((file.size() + alignment - 1) / alignment * alignment, '\0');
    return file + data_;
  }

  std::string magic = "GGUF";
  uint32_t version = 3;
  int64_t tensor_count = 0, value_count = 0;
  size_t alignment = 32;  // to be set before tensors are added

 private:
  std::string values_, tensors_, data_;
};

// The bytes of a file, on an 8-byte boundary as mapped memory is, with an end that
// AddressSanitizer watches.
class FileBytes {
 public:
  explicit FileBytes(std::string_view text)
      : bytes_(new std::byte[text.size()]), size_(text.size()) {
    if (size_ > 0) std::memcpy(bytes_.get(), text.data(), size_);
  }
  std::span<const std::byte> span() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  size_t size_;
};

}  // namespace kontext

#endif  // KONTEXT_TESTS_GGUF_BYTES_H_
