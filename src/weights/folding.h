// Folding: the tensors of a file while the encodings of weights/encodings.h bring them together.
// Each family takes the tensors that make up one weight and puts the weight; what nobody has taken
// is a weight by itself.
#ifndef KONTEXT_WEIGHTS_FOLDING_H_
#define KONTEXT_WEIGHTS_FOLDING_H_

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "io/json.h"
#include "weights/encodings.h"

namespace kontext {

class Folding {
 public:
  using RawTensors = std::map<std::string, ConstTensorView>;
  // Both must outlive the Folding; `file` is for messages.
  Folding(const RawTensors& raw, const std::string& file) : raw_(raw), file_(file) {}

  const RawTensors& raw() const { return raw_; }
  const ConstTensorView* Find(const std::string& name) const;  // null if there is none
  bool taken(const std::string& name) const { return taken_.contains(name); }

  // Every Take marks the tensor as taken and fails with kBadInput if it is missing, empty, or not
  // as wanted. `encoding` says in messages what it is needed for.
  Result<ConstTensorView> Take(const std::string& name, const std::string& encoding);
  Result<ConstTensorView> Take(const std::string& name, const std::string& encoding,
                               std::initializer_list<DType> dtypes);
  // `n` finite numbers in any shape.
  Result<ConstTensorView> TakeNumbers(const std::string& name, const std::string& encoding,
                                      std::initializer_list<DType> dtypes, int64_t n);
  // The same in F32, BF16 or F16, widened to a copy.
  Result<std::vector<float>> TakeFloats(const std::string& name, const std::string& encoding,
                                        int64_t n);
  Result<float> TakeScalar(const std::string& name, const std::string& encoding);
  // A tensor that says nothing about the weight's values, if it is there.
  void Drop(const std::string& name) {
    if (Find(name) != nullptr) taken_.insert(name);
  }

  // kBadInput if a weight of that name is there.
  Status Put(const std::string& name, WeightRows weight);
  Status Put(const std::string& name, std::shared_ptr<const EncodedMatrix> matrix);
  // A vector of ours.
  Status Put(const std::string& name, const std::vector<float>& values);

  // All weights: those that were put, and the tensors that nobody took.
  Result<WeightMap> Finish();

  template <class... A>
  Status Bad(const std::string& tensor, fmt::format_string<A...> format, A&&... args) const {
    return BadInput("{}: tensor {}: {}", file_, Quoted(tensor),
                    fmt::format(format, std::forward<A>(args)...));
  }
  const std::string& file() const { return file_; }

 private:
  const RawTensors& raw_;
  const std::string& file_;
  std::set<std::string> taken_;
  WeightMap weights_;
};

// The families of encodings, one file each. `layer` is a name without its ".weight".

// encoding_fp8.cc: 8-bit floats as they are, ...
Status FoldFp8(Folding& folding, const std::string& name);
// ... and with one factor for the tensor, `layer`.weight * `scale`. The weight may be called U8.
Status FoldScaledFp8(Folding& folding, const std::string& layer, const std::string& scale,
                     DType dtype);
// encoding_block_scales.cc: 4 and 8-bit floats with a factor for each 16 or 32 columns.
Status FoldNvfp4(Folding& folding, const std::string& layer);
Status FoldMxfp8(Folding& folding, const std::string& layer);
// encoding_int8.cc. `rotation`: 256 if the columns are rotated (tensor/convrot.h), else 1.
Status FoldInt8Tensorwise(Folding& folding, const std::string& layer, int64_t rotation);
Status FoldInt8Blockwise(Folding& folding, const std::string& layer);
// encoding_comfy.cc: whatever ComfyUI's own notes in a file say of its layers.
Status FoldComfyLayers(Folding& folding, const std::map<std::string, std::string>& metadata);
Status FoldComfyOldFp8(Folding& folding);
// encoding_bitsandbytes.cc: every layer with a quant_state.
Status FoldBitsandbytes(Folding& folding);
// dialect_svdquant.cc: every layer of a nunchaku file, under its Diffusers name.
Status FoldSvdquant(Folding& folding);

// For EncodedMatrix::Touches: rows [begin, end) of `row_bytes` bytes each from `data` on.
inline ByteSpan RowBytes(const void* data, int64_t row_bytes, int64_t begin, int64_t end) {
  return {static_cast<const std::byte*>(data) + begin * row_bytes,
          static_cast<size_t>((end - begin) * row_bytes)};
}

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_FOLDING_H_
