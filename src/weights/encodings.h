// FoldEncodings: the tensors of a safetensors file as weights. A file that stores its weights in
// fewer bits keeps further tensors beside each (scales, code books, low-rank parts); here they are
// brought together again, one WeightRows per weight.
#ifndef KONTEXT_WEIGHTS_ENCODINGS_H_
#define KONTEXT_WEIGHTS_ENCODINGS_H_

#include <map>
#include <string>

#include "base/status.h"
#include "tensor/weight_rows.h"

namespace kontext {

using WeightMap = std::map<std::string, WeightRows>;

// `raw` and `metadata` as io/checkpoint.h has them; `file` is for messages. The result refers to
// the memory of `raw`. Tensors in no encoding pass as they are, under their names.
Result<WeightMap> FoldEncodings(const std::map<std::string, ConstTensorView>& raw,
                                const std::map<std::string, std::string>& metadata,
                                const std::string& file);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_ENCODINGS_H_
