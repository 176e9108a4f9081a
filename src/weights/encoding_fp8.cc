// 8-bit floats, E4M3FN and E5M2 (spec weights 5): plain, or with a factor for the whole tensor.
#include <array>

#include "weights/float8.h"
#include "weights/folding.h"

namespace kontext {
namespace {

class Fp8Matrix final : public EncodedMatrix {
 public:
  Fp8Matrix(int64_t rows, int64_t columns, const std::byte* data, DType dtype)
      : EncodedMatrix(rows, columns),
        data_(reinterpret_cast<const uint8_t*>(data)),
        values_(Float8Table(dtype)),
        encoding_(dtype == DType::kF8E5M2 ? "fp8 E5M2" : "fp8 E4M3") {}
  Fp8Matrix(int64_t rows, int64_t columns, const std::byte* data, DType dtype, float scale)
      : Fp8Matrix(rows, columns, data, dtype) {
    for (float& value : values_) value *= scale;
    encoding_ += " with scale";
  }

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    const uint8_t* codes = data_ + row * columns + begin;
    for (int64_t i = 0; i < end - begin; ++i) out[i] = values_[codes[i]];
  }
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override {
    spans.push_back(RowBytes(data_, columns, begin, end));
  }
  std::string encoding() const override { return encoding_; }

 private:
  const uint8_t* data_;
  std::array<float, 256> values_;  // of each code, scaled
  std::string encoding_;
};

}  // namespace

Status FoldFp8(Folding& folding, const std::string& name) {
  KX_ASSIGN_OR_RETURN(const ConstTensorView view, folding.Take(name, "fp8"));
  const Shape& shape = view.shape();
  if (shape.rank() < 2) {  // a bias or a norm's weight
    std::vector<float> values(static_cast<size_t>(shape.NumElements()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = Float8Table(view.dtype())[view.As<uint8_t>()[i]];
    return folding.Put(name, values);
  }
  const int64_t columns = shape.NumElements() / shape[0];
  return folding.Put(
      name,
      WeightRows(std::make_shared<Fp8Matrix>(shape[0], columns, view.data(), view.dtype()), shape));
}

Status FoldScaledFp8(Folding& folding, const std::string& layer, const std::string& scale,
                     DType dtype) {
  const std::string name = layer + ".weight";
  KX_ASSIGN_OR_RETURN(const ConstTensorView view,
                      folding.Take(name, "fp8 scaled", {dtype, DType::kU8}));
  KX_ASSIGN_OR_RETURN(const float factor, folding.TakeScalar(scale, "fp8 scaled"));
  const Shape& shape = view.shape();
  if (shape.rank() < 2) {
    return folding.Bad(name, "is {}, expected a matrix", shape.Str());
  }
  const int64_t columns = shape.NumElements() / shape[0];
  return folding.Put(
      name, WeightRows(std::make_shared<Fp8Matrix>(shape[0], columns, view.data(), dtype, factor),
                       shape));
}

}  // namespace kontext
