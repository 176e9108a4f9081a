// The modulation layers of nunchaku files, AWQ with 4 bits and groups of 64 columns.
#include "weights/encoding_svdquant.h"

namespace kontext {
namespace {

constexpr int64_t kGroup = 64;

class AwqMatrix final : public EncodedMatrix {
 public:
  AwqMatrix(int64_t rows, int64_t columns, int64_t parts, const uint32_t* codes,
            ConstTensorView scales, ConstTensorView zeros)
      : EncodedMatrix(rows, columns),
        parts_(parts),
        codes_(codes),
        scales_(scales),
        zeros_(zeros) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    const int64_t channels = rows / parts_;
    const int64_t n = row % channels * parts_ + row / channels;  // in the file
    for (int64_t group = begin / kGroup; group * kGroup < end; ++group) {
      const float scale = At(scales_, group * rows + n), zero = At(zeros_, group * rows + n);
      // Four words for each half of 32 columns: column k is in word k%8/2, 16 (k%2) + 4 (k%32/8)
      // bits up (spec weights 8).
      const uint32_t* words = codes_ + n / 4 * (columns / 2) + group * 32 + n % 4 * 8;
      float* to = out + (group * kGroup - begin);
      for (int64_t k = 0; k < kGroup; ++k) {
        const uint32_t word = words[k / 32 * 4 + k % 8 / 2];
        const uint32_t code = (word >> (16 * (k % 2) + 4 * (k % 32 / 8))) & 15;
        to[k] = static_cast<float>(code) * scale + zero;
      }
    }
  }
  void Touches(int64_t, int64_t, std::vector<ByteSpan>& spans) const override {
    // Our rows lie scattered over the file's: all of it.
    spans.push_back(RowBytes(codes_, columns / 2, 0, rows));
    for (const ConstTensorView& view : {scales_, zeros_})
      spans.push_back(RowBytes(view.data(), rows * SizeOf(view.dtype()), 0, columns / kGroup));
  }
  std::string encoding() const override { return "AWQ int4"; }

 private:
  static float At(const ConstTensorView& view, int64_t i) {
    return view.dtype() == DType::kF16 ? ToFloat(view.As<F16>()[i]) : ToFloat(view.As<BF16>()[i]);
  }

  int64_t parts_;
  const uint32_t* codes_;           // [N/4, K/2]
  ConstTensorView scales_, zeros_;  // [K/64, N]
};

}  // namespace

Status FoldAwqModulation(Folding& folding, const std::string& layer, int64_t parts) {
  const std::string name = layer + ".qweight";
  KX_ASSIGN_OR_RETURN(const ConstTensorView codes, folding.Take(name, "AWQ", {DType::kI32}));
  const Shape& shape = codes.shape();
  if (shape.rank() != 2 || shape[1] % (kGroup / 2) != 0 || shape[0] * 4 % parts != 0) {
    return folding.Bad(name, "is {}, expected [N/4, K/2] with N a multiple of {} and K of {}",
                       shape.Str(), parts, kGroup);
  }
  const int64_t rows = shape[0] * 4, columns = shape[1] * 2;
  ConstTensorView scales, zeros;
  for (ConstTensorView* view : {&scales, &zeros}) {
    const std::string companion = layer + (view == &scales ? ".wscales" : ".wzeros");
    KX_ASSIGN_OR_RETURN(*view, folding.TakeNumbers(companion, "AWQ", {DType::kBF16, DType::kF16},
                                                   columns / kGroup * rows));
  }
  KX_ASSIGN_OR_RETURN(const auto stored, folding.TakeFloats(layer + ".bias", "AWQ", rows));
  std::vector<float> bias(stored.size());
  const auto S = static_cast<size_t>(parts);
  const size_t channels = stored.size() / S;
  for (size_t c = 0; c < channels; ++c) {
    for (size_t m = 0; m < S; ++m) {
      // shift, scale, gate, shift, scale, gate
      bias[m * channels + c] = stored[c * S + m] - (m % 3 == 1 ? 1.0f : 0.0f);
    }
  }
  KX_RETURN_IF_ERROR(folding.Put(layer + ".bias", bias));
  return folding.Put(
      layer + ".weight",
      std::make_shared<AwqMatrix>(rows, columns, parts, codes.As<uint32_t>(), scales, zeros));
}

}  // namespace kontext
