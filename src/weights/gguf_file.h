// GGUF files as weights (spec weights 7): names as they stand in the file, shapes as PyTorch has
// them, blocks of ggml as encoded matrices in the mapped file.
#ifndef KONTEXT_WEIGHTS_GGUF_FILE_H_
#define KONTEXT_WEIGHTS_GGUF_FILE_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/gguf.h"
#include "tensor/arena.h"
#include "weights/weight_file.h"

namespace kontext {

Result<std::unique_ptr<WeightFile>> OpenGgufFile(const std::string& path);

// The tensors of a parsed file, which must outlive the result. comfy.gguf.orig_shape.NAME overrules
// a tensor's shape. `copies` keeps what cannot be used where it lies: plain numbers that are not
// aligned to their type, and vectors in blocks, decoded.
Result<WeightMap> GgufWeights(const Gguf& gguf, const std::string& file,
                              std::vector<Buffer>& copies);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_GGUF_FILE_H_
