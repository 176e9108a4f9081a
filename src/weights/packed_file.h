// The packed file (docs/convert.md): a safetensors file that this program wrote for itself, to be
// used as it is mapped. Its __metadata__:
//   kontext_packed  the version of the format, kPackedVersion
//   source, target, written_by    for people
//   plan            what the file was made of and how, as a SHA-256
//   tensors         JSON: {"NAME": {"sha256": 64 digits}, ...}, and for int8 matrices
//                   {"sha256": ..., "rows": N, "columns": K, "rotation": 1 or 256}
// Beside an int8 matrix NAME stand NAME.scale and NAME.sums (tensor/packed_int8.h); tensors called
// padding.I fill the gaps that alignment leaves, since safetensors has no gaps.
#ifndef KONTEXT_WEIGHTS_PACKED_FILE_H_
#define KONTEXT_WEIGHTS_PACKED_FILE_H_

#include <cstdint>
#include <map>
#include <string>

#include "base/status.h"
#include "weights/encodings.h"

namespace kontext {

inline constexpr char kPackedKey[] = "kontext_packed";
inline constexpr char kPackedVersion[] = "1";
inline constexpr char kScaleSuffix[] = ".scale";
inline constexpr char kSumsSuffix[] = ".sums";
inline constexpr char kPaddingPrefix[] = "padding.";

struct PackedEntry {
  std::string sha256;  // of the tensor's bytes
  // Of int8 matrices only.
  int64_t rows = 0, columns = 0, rotation = 0;
  bool is_int8() const { return rotation != 0; }
};
using PackedIndex = std::map<std::string, PackedEntry>;  // all tensors of the file but the padding

inline bool IsPacked(const std::map<std::string, std::string>& metadata) {
  return metadata.contains(kPackedKey);
}

// kBadInput for another version, and for anything that contradicts itself. `file` is for messages.
Result<PackedIndex> ReadPackedIndex(const std::map<std::string, std::string>& metadata,
                                    const std::string& file);
std::string WritePackedIndex(const PackedIndex& index);  // the JSON of "tensors"

// FoldEncodings for a packed file; checks everything but the checksums.
Result<WeightMap> FoldPacked(const std::map<std::string, ConstTensorView>& raw,
                             const std::map<std::string, std::string>& metadata,
                             const std::string& file);

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_PACKED_FILE_H_
