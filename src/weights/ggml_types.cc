#include "weights/ggml_types.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "weights/ggml_blocks.h"
#include "weights/ggml_super_blocks.h"

namespace kontext {
namespace {

// `Block` is laid out as in the file.
template <class Block>
class GgmlMatrix : public EncodedMatrix {
 public:
  GgmlMatrix(const GgmlType& type, ByteSpan data, int64_t rows, int64_t columns)
      : EncodedMatrix(rows, columns), name_(type.name), data_(data) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    int64_t at = row * columns + begin;
    const int64_t stop = row * columns + end;
    while (at < stop) {
      Block block;  // a copy: in the file it may lie anywhere
      std::memcpy(&block, data_.data() + at / kElements * kBytes, sizeof(block));
      const int64_t first = at % kElements, n = std::min(kElements - first, stop - at);
      if (n == kElements) {
        block.Decode(out);
      } else {  // a row that does not begin or end with a block
        float all[kElements];
        block.Decode(all);
        std::copy_n(all + first, n, out);
      }
      at += n;
      out += n;
    }
  }

  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override {
    if (begin >= end) return;
    const int64_t first = begin * columns / kElements;
    const int64_t last = (end * columns + kElements - 1) / kElements;
    spans.push_back(data_.subspan(static_cast<size_t>(first * kBytes),
                                  static_cast<size_t>((last - first) * kBytes)));
  }

  std::string encoding() const override { return name_; }

 private:
  static constexpr int64_t kElements = Block::kElements;
  static constexpr int64_t kBytes = sizeof(Block);

  const char* const name_;
  const ByteSpan data_;
};

using Maker = std::shared_ptr<const EncodedMatrix> (*)(const GgmlType& type, ByteSpan data,
                                                       int64_t rows, int64_t columns);

template <class Block, int64_t bytes>
std::shared_ptr<const EncodedMatrix> Make(const GgmlType& type, ByteSpan data, int64_t rows,
                                          int64_t columns) {
  static_assert(sizeof(Block) == bytes, "a block has no gaps, so that it can be copied as bytes");
  return std::make_shared<const GgmlMatrix<Block>>(type, data, rows, columns);
}

struct NamedMaker {
  std::string_view name;
  Maker make;
};
constexpr NamedMaker kMakers[] = {
    {"Q4_0", Make<ggml::Q4_0, 18>},    {"Q4_1", Make<ggml::Q4_1, 20>},
    {"Q5_0", Make<ggml::Q5_0, 22>},    {"Q5_1", Make<ggml::Q5_1, 24>},
    {"Q8_0", Make<ggml::Q8_0, 34>},    {"Q2_K", Make<ggml::Q2K, 84>},
    {"Q3_K", Make<ggml::Q3K, 110>},    {"Q4_K", Make<ggml::Q4K, 144>},
    {"Q5_K", Make<ggml::Q5K, 176>},    {"Q6_K", Make<ggml::Q6K, 210>},
    {"IQ4_NL", Make<ggml::Iq4Nl, 18>}, {"IQ4_XS", Make<ggml::Iq4Xs, 136>},
    {"MXFP4", Make<ggml::Mxfp4, 17>},  {"NVFP4", Make<ggml::Nvfp4, 36>},
};

}  // namespace

std::optional<DType> PlainGgmlType(const GgmlType& type) {
  for (const DType t : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI8,
                        DType::kI16, DType::kI32, DType::kI64}) {
    if (Name(t) == type.name) return t;
  }
  return std::nullopt;
}

std::shared_ptr<const EncodedMatrix> MakeGgmlMatrix(const GgmlType& type, ByteSpan data,
                                                    int64_t rows, int64_t columns) {
  for (const NamedMaker& maker : kMakers) {
    if (maker.name == type.name) return maker.make(type, data, rows, columns);
  }
  return nullptr;
}

}  // namespace kontext
