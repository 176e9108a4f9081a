// NVFP4 and MXFP8 as ComfyUI writes them (spec weights 6; comfy_kitchen/tensor/nvfp4.py, mxfp8.py):
// small floats with a factor for each 16 or 32 columns of a row. The factors lie in the order that
// cuBLAS wants, tiles of 128 rows x 4 factors.
#include <algorithm>

#include "weights/float8.h"
#include "weights/folding.h"

namespace kontext {
namespace {

constexpr int64_t kTileRows = 128, kTileScales = 4;

int64_t RoundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

class SwizzledScales {
 public:
  SwizzledScales() = default;
  SwizzledScales(const uint8_t* codes, int64_t per_row)
      : codes_(codes), tiles_((per_row + kTileScales - 1) / kTileScales) {}

  // Of row `row`; factor c of it is at(c).
  class Row {
   public:
    explicit Row(const uint8_t* codes) : codes_(codes) {}
    uint8_t at(int64_t c) const {
      return codes_[c / kTileScales * kTileRows * kTileScales + c % kTileScales];
    }

   private:
    const uint8_t* codes_;
  };
  Row row(int64_t row) const {
    return Row(codes_ + row / kTileRows * tiles_ * kTileRows * kTileScales + row % 32 * 16 +
               row % kTileRows / 32 * 4);
  }
  // Whole tiles.
  ByteSpan Touched(int64_t begin, int64_t end) const {
    return RowBytes(codes_, tiles_ * kTileScales, begin / kTileRows * kTileRows,
                    RoundUp(end, kTileRows));
  }

 private:
  const uint8_t* codes_ = nullptr;
  int64_t tiles_ = 0;
};

class Nvfp4Matrix final : public EncodedMatrix {
 public:
  static constexpr int64_t kBlock = 16;
  // `input_factors`: what the file multiplies the activations' columns by, or empty.
  Nvfp4Matrix(int64_t rows, int64_t columns, const uint8_t* data, SwizzledScales scales,
              float scale, std::vector<float> input_factors)
      : EncodedMatrix(rows, columns),
        data_(data),
        scales_(scales),
        scale_(scale),
        input_factors_(std::move(input_factors)) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    const uint8_t* pairs = data_ + row * (columns / 2);
    const SwizzledScales::Row scales = scales_.row(row);
    for (int64_t k = begin; k < end; k += kBlock) {
      const float scale = kE4M3Values[scales.at(k / kBlock)] * scale_;
      float* block = out + (k - begin);
      for (int64_t i = 0; i < kBlock; i += 2) {  // the high half comes first
        const uint8_t pair = pairs[(k + i) / 2];
        block[i] = kE2M1Values[pair >> 4] * scale;
        block[i + 1] = kE2M1Values[pair & 15] * scale;
      }
    }
    if (input_factors_.empty()) return;
    for (int64_t k = begin; k < end; ++k) out[k - begin] *= input_factors_[static_cast<size_t>(k)];
  }
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override {
    spans.push_back(RowBytes(data_, columns / 2, begin, end));
    spans.push_back(scales_.Touched(begin, end));
  }
  std::string encoding() const override { return "NVFP4"; }

 private:
  const uint8_t* data_;
  SwizzledScales scales_;
  float scale_;
  std::vector<float> input_factors_;
};

class Mxfp8Matrix final : public EncodedMatrix {
 public:
  static constexpr int64_t kBlock = 32;
  Mxfp8Matrix(int64_t rows, int64_t columns, const uint8_t* data, SwizzledScales scales)
      : EncodedMatrix(rows, columns), data_(data), scales_(scales) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    const uint8_t* codes = data_ + row * columns;
    const SwizzledScales::Row scales = scales_.row(row);
    for (int64_t k = begin; k < end; k += kBlock) {
      const float scale = kE8M0Values[scales.at(k / kBlock)];
      float* block = out + (k - begin);
      for (int64_t i = 0; i < kBlock; ++i) block[i] = kE4M3Values[codes[k + i]] * scale;
    }
  }
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override {
    spans.push_back(RowBytes(data_, columns, begin, end));
    spans.push_back(scales_.Touched(begin, end));
  }
  std::string encoding() const override { return "MXFP8"; }

 private:
  const uint8_t* data_;
  SwizzledScales scales_;
};

// The factors of `rows` rows, `per_row` each, padded to whole tiles.
Result<SwizzledScales> TakeScales(Folding& folding, const std::string& name,
                                  const std::string& encoding, DType dtype, int64_t rows,
                                  int64_t per_row) {
  const int64_t n = RoundUp(rows, kTileRows) * RoundUp(per_row, kTileScales);
  KX_ASSIGN_OR_RETURN(const ConstTensorView view,
                      folding.TakeNumbers(name, encoding, {dtype, DType::kU8}, n));
  const auto* codes = view.As<uint8_t>();
  const bool e8m0 = dtype == DType::kF8E8M0;
  if (std::any_of(codes, codes + n,
                  [e8m0](uint8_t code) { return e8m0 ? code == 0xFF : (code & 0x7F) == 0x7F; })) {
    return folding.Bad(name, "holds a factor that is not a number; the file is damaged");
  }
  return SwizzledScales(codes, per_row);
}

// The weight's rows without padding, which the bias of the layer tells.
int64_t RowsWithoutPadding(const Folding& folding, const std::string& layer, int64_t stored,
                           int64_t multiple) {
  const ConstTensorView* bias = folding.Find(layer + ".bias");
  if (bias == nullptr || bias->rank() != 1) return stored;
  return bias->dim(0) > 0 && RoundUp(bias->dim(0), multiple) == stored ? bias->dim(0) : stored;
}

}  // namespace

Status FoldNvfp4(Folding& folding, const std::string& layer) {
  const std::string name = layer + ".weight";
  KX_ASSIGN_OR_RETURN(const ConstTensorView view, folding.Take(name, "nvfp4", {DType::kU8}));
  if (view.rank() != 2 || view.dim(1) % (Nvfp4Matrix::kBlock / 2) != 0) {
    return folding.Bad(name, "is {}, expected [rows, columns / 2] with columns a multiple of 16",
                       view.shape().Str());
  }
  const int64_t columns = view.dim(1) * 2;
  KX_ASSIGN_OR_RETURN(const SwizzledScales scales,
                      TakeScales(folding, layer + ".weight_scale", "nvfp4", DType::kF8E4M3,
                                 view.dim(0), columns / Nvfp4Matrix::kBlock));
  KX_ASSIGN_OR_RETURN(const float scale, folding.TakeScalar(layer + ".weight_scale_2", "nvfp4"));
  std::vector<float> input_factors;
  if (const std::string factors = layer + ".pre_quant_scale"; folding.Find(factors) != nullptr) {
    KX_ASSIGN_OR_RETURN(input_factors, folding.TakeFloats(factors, "nvfp4", columns));
  }
  const int64_t rows = RowsWithoutPadding(folding, layer, view.dim(0), 16);
  return folding.Put(name, std::make_shared<Nvfp4Matrix>(rows, columns, view.As<uint8_t>(), scales,
                                                         scale, std::move(input_factors)));
}

Status FoldMxfp8(Folding& folding, const std::string& layer) {
  const std::string name = layer + ".weight";
  KX_ASSIGN_OR_RETURN(const ConstTensorView view,
                      folding.Take(name, "mxfp8", {DType::kF8E4M3, DType::kU8}));
  if (view.rank() != 2 || view.dim(1) % Mxfp8Matrix::kBlock != 0) {
    return folding.Bad(name, "is {}, expected [rows, columns] with columns a multiple of 32",
                       view.shape().Str());
  }
  KX_ASSIGN_OR_RETURN(const SwizzledScales scales,
                      TakeScales(folding, layer + ".weight_scale", "mxfp8", DType::kF8E8M0,
                                 view.dim(0), view.dim(1) / Mxfp8Matrix::kBlock));
  const int64_t rows = RowsWithoutPadding(folding, layer, view.dim(0), 32);
  return folding.Put(name,
                     std::make_shared<Mxfp8Matrix>(rows, view.dim(1), view.As<uint8_t>(), scales));
}

}  // namespace kontext
