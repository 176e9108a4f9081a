// 8-bit integers as ComfyUI writes them (spec weights 5): one factor for the tensor or for each
// row, perhaps of a rotated weight (int8_tensorwise), or for each block of 128 x 128
// (int8_blockwise).
#include "tensor/convrot.h"
#include "weights/folding.h"

namespace kontext {
namespace {

constexpr int64_t kBlock = 128;  // of int8_blockwise

static_assert(EncodedMatrix::kGranule % kRotationGroup == 0 &&
                  EncodedMatrix::kGranule % kBlock == 0,
              "a run of columns begins with a whole group");

class Int8Tensorwise final : public EncodedMatrix {
 public:
  // `scales`: one, or one for each row.
  Int8Tensorwise(int64_t rows, int64_t columns, const int8_t* data, std::vector<float> scales,
                 bool rotated)
      : EncodedMatrix(rows, columns), data_(data), scales_(std::move(scales)), rotated_(rotated) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    const float scale = scales_[scales_.size() == 1 ? 0 : static_cast<size_t>(row)];
    const int8_t* codes = data_ + row * columns + begin;
    for (int64_t i = 0; i < end - begin; ++i) out[i] = scale * static_cast<float>(codes[i]);
    if (!rotated_) return;
    // The file's weight is W R, and R undoes itself.
    for (int64_t i = 0; i < end - begin; i += kRotationGroup) RotateGroup(out + i);
  }
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override {
    spans.push_back(RowBytes(data_, columns, begin, end));
  }
  std::string encoding() const override { return rotated_ ? "int8 ConvRot" : "int8"; }

 private:
  const int8_t* data_;
  std::vector<float> scales_;
  bool rotated_;
};

class Int8Blockwise final : public EncodedMatrix {
 public:
  Int8Blockwise(int64_t rows, int64_t columns, const int8_t* data, std::vector<float> scales)
      : EncodedMatrix(rows, columns), data_(data), scales_(std::move(scales)) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    const float* scales = scales_.data() + row / kBlock * ((columns + kBlock - 1) / kBlock);
    const int8_t* codes = data_ + row * columns;
    for (int64_t k = begin; k < end; k += kBlock) {
      const int64_t n = std::min(kBlock, end - k);
      const float scale = scales[k / kBlock];
      for (int64_t i = 0; i < n; ++i) out[k - begin + i] = scale * static_cast<float>(codes[k + i]);
    }
  }
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override {
    spans.push_back(RowBytes(data_, columns, begin, end));
  }
  std::string encoding() const override { return "int8 in blocks"; }

 private:
  const int8_t* data_;
  std::vector<float> scales_;  // [rows / 128, columns / 128], rounded up
};

Result<ConstTensorView> TakeMatrix(Folding& folding, const std::string& name) {
  KX_ASSIGN_OR_RETURN(const ConstTensorView view, folding.Take(name, "int8", {DType::kI8}));
  if (view.rank() == 2) return view;
  return folding.Bad(name, "is {}, expected a matrix", view.shape().Str());
}

}  // namespace

Status FoldInt8Tensorwise(Folding& folding, const std::string& layer, int64_t rotation) {
  const std::string name = layer + ".weight", scale = layer + ".weight_scale";
  KX_ASSIGN_OR_RETURN(const ConstTensorView view, TakeMatrix(folding, name));
  const int64_t rows = view.dim(0), columns = view.dim(1);
  if (rotation != 1 && (rotation != kRotationGroup || columns % rotation != 0)) {
    return folding.Bad(name,
                       "is rotated in groups of {} of its {} columns; known are groups of {}, "
                       "which the columns are a multiple of",
                       rotation, columns, kRotationGroup);
  }
  const ConstTensorView* scales = folding.Find(scale);
  const bool one = scales != nullptr && scales->shape().NumElements() == 1;
  KX_ASSIGN_OR_RETURN(std::vector<float> values, folding.TakeFloats(scale, "int8", one ? 1 : rows));
  return folding.Put(name, std::make_shared<Int8Tensorwise>(rows, columns, view.As<int8_t>(),
                                                            std::move(values), rotation != 1));
}

Status FoldInt8Blockwise(Folding& folding, const std::string& layer) {
  const std::string name = layer + ".weight";
  KX_ASSIGN_OR_RETURN(const ConstTensorView view, TakeMatrix(folding, name));
  const int64_t rows = view.dim(0), columns = view.dim(1);
  const int64_t blocks = ((rows - 1) / kBlock + 1) * ((columns - 1) / kBlock + 1);
  KX_ASSIGN_OR_RETURN(std::vector<float> scales,
                      folding.TakeFloats(layer + ".weight_scale", "int8", blocks));
  return folding.Put(
      name, std::make_shared<Int8Blockwise>(rows, columns, view.As<int8_t>(), std::move(scales)));
}

}  // namespace kontext
