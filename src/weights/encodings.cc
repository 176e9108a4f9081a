#include "weights/encodings.h"

#include "weights/folding.h"

namespace kontext {

Result<WeightMap> FoldEncodings(const std::map<std::string, ConstTensorView>& raw,
                                const std::map<std::string, std::string>& metadata,
                                const std::string& file) {
  Folding folding(raw, file);
  // In the order of spec weights 11.4; each takes what it knows by the names of its companions.
  KX_RETURN_IF_ERROR(FoldSvdquant(folding));
  KX_RETURN_IF_ERROR(FoldComfyLayers(folding, metadata));
  KX_RETURN_IF_ERROR(FoldComfyOldFp8(folding));
  KX_RETURN_IF_ERROR(FoldBitsandbytes(folding));
  for (const auto& [name, tensor] : raw) {
    const bool fp8 = tensor.dtype() == DType::kF8E4M3 || tensor.dtype() == DType::kF8E5M2;
    if (fp8 && !folding.taken(name)) KX_RETURN_IF_ERROR(FoldFp8(folding, name));
  }
  return folding.Finish();
}

}  // namespace kontext
