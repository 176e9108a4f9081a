// The safetensors format, read and written (spec weights.md 1):
//
//   offset  bytes  what
//   0       8      N, unsigned, little-endian; at most 100 MB
//   8       N      JSON {"name": {"dtype": "BF16", "shape": [3072,64], "data_offsets": [a,b]}, ...,
//                  "__metadata__": {"key": "text", ...}}, padded with spaces
//   8 + N   rest   the tensors, row-major, little-endian; a and b count from here
#ifndef KONTEXT_IO_SAFETENSORS_H_
#define KONTEXT_IO_SAFETENSORS_H_

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensor/arena.h"
#include "tensor/view.h"

namespace kontext {

struct Safetensors {
  std::map<std::string, ConstTensorView> tensors;  // into the file's bytes, or into `realigned`
  std::map<std::string, std::string> metadata;
  // A tensor whose place in the file does not suit its type (old writers did not pad the header) is
  // copied, because reading it where it lies would be undefined behaviour. Costs its size in
  // memory.
  std::vector<Buffer> realigned;
};

// `file`: all bytes of one file, which must outlive the views and start on an 8-byte boundary, as
// mapped memory does. `what` names it in messages. Checked: header length, JSON without duplicate
// names, known dtypes, rank at most 6, data_offsets that fit dtype and shape (overflow included),
// lie in the file and do not overlap. Bytes that belong to no tensor are allowed. The number of
// tensors is not limited but by the header's length.
Result<Safetensors> ParseSafetensors(std::span<const std::byte> file, const std::string& what);

// Writes dense tensors atomically (io/atomic_file.h), every one aligned to its type.
Status WriteSafetensors(const std::string& path,
                        const std::map<std::string, ConstTensorView>& tensors,
                        const std::map<std::string, std::string>& metadata = {});

}  // namespace kontext

#endif  // KONTEXT_IO_SAFETENSORS_H_
