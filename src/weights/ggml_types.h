// Matrices in ggml's number formats (spec weights 7.3), decoded block by block where they are used.
#ifndef KONTEXT_WEIGHTS_GGML_TYPES_H_
#define KONTEXT_WEIGHTS_GGML_TYPES_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "io/gguf.h"
#include "tensor/dtype.h"
#include "tensor/weight_rows.h"

namespace kontext {

// The number format of a type without blocks; nothing for one with blocks.
std::optional<DType> PlainGgmlType(const GgmlType& type);

// A matrix in a type with blocks. `data`, which must outlive it, is whole blocks with
// rows * columns elements, one row after the other; a row need not begin with a block. Null for
// types that PlainGgmlType knows or nobody reads.
std::shared_ptr<const EncodedMatrix> MakeGgmlMatrix(const GgmlType& type, ByteSpan data,
                                                    int64_t rows, int64_t columns);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_GGML_TYPES_H_
