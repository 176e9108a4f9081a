// SVDQuant (nunchaku) weights: 4 bits plus a branch of low rank, in the order that nunchaku's GPU
// kernels read (spec weights 8; NUN/nunchaku/lora/flux/packer.py). As a plain matrix
//   W[n,k] = Q[n,k] / smooth[k] + sum_r up[n,r] * down[k,r],   Q = code * scales,
// because the file's products divide the input by `smooth` first, the branch's do not.
#ifndef KONTEXT_WEIGHTS_ENCODING_SVDQUANT_H_
#define KONTEXT_WEIGHTS_ENCODING_SVDQUANT_H_

#include <memory>
#include <string>
#include <vector>

#include "weights/folding.h"

namespace kontext {

class SvdquantMatrix final : public EncodedMatrix {
 public:
  // A W4A4 layer's parts. N is a multiple of 128, K of 128.
  struct Parts {
    const uint32_t* codes = nullptr;    // [N, K/8] words, packed
    ConstTensorView scales;             // int4: [K/64, N] F16 or BF16; fp4: [K/16, N] E4M3; packed
    std::vector<float> channel_scales;  // [N]; empty for int4: ones
    std::vector<float> inverse_smooth;  // [K]
    ConstTensorView up;                 // [N, rank] F16 or BF16, packed
    std::vector<float> down;            // [rank, K], plain
    int64_t rank = 0;
    bool fp4 = false;
  };
  SvdquantMatrix(int64_t rows, int64_t columns, Parts parts)
      : EncodedMatrix(rows, columns), parts_(std::move(parts)) {}

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override;
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override;
  std::string encoding() const override { return parts_.fp4 ? "SVDQuant fp4" : "SVDQuant int4"; }

  bool fp4() const { return parts_.fp4; }
  // sum_k Q[row,k] / smooth[k].
  float QuantisedSum(int64_t row) const;

 private:
  void DecodeQuantised(int64_t row, int64_t begin, int64_t end, float* out) const;
  void AddBranch(int64_t row, int64_t begin, int64_t end, float* out) const;

  const Parts parts_;
};

// The W4A4 layer `layer`: its tensors are taken. `bias` gets its bias in plain order.
Result<std::shared_ptr<const SvdquantMatrix>> TakeSvdquantLayer(Folding& folding,
                                                                const std::string& layer,
                                                                std::vector<float>& bias);

// A modulation layer of `parts` vectors, AWQ with 4 bits: W = code * scale + zero. The file's rows
// go channel by channel (row c * parts + m), ours part by part; its bias has the 1 of (1 + scale)
// added already, which is taken off. Puts weight and bias.
Status FoldAwqModulation(Folding& folding, const std::string& layer, int64_t parts);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_ENCODING_SVDQUANT_H_
