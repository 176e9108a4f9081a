// ConvertPlan: what a packed file (weights/packed_file.h) will hold and where, before a byte of it
// is made.
#ifndef KONTEXT_MODEL_CONVERT_PLAN_H_
#define KONTEXT_MODEL_CONVERT_PLAN_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "kontext/convert.h"
#include "weights/packed_file.h"
#include "weights/weight_file.h"

namespace kontext {

// A tensor of the packed file.
struct PackedItem {
  enum class Kind { kPlain, kInt8, kScale, kSums, kPadding };
  Kind kind = Kind::kPlain;
  std::string name;
  DType dtype = DType::kBF16;
  Shape shape;                     // as stored
  int64_t offset = 0, bytes = 0;   // the offset counts from the start of the data
  int unit = 0;                    // tensors of one unit (a block) are read together
  std::vector<WeightRows> source;  // of kPlain and kInt8: stacked by rows
  int64_t rows = 0, columns = 0;   // of the source; a vector is one row
};

struct ConvertPlan {
  std::vector<PackedItem> items;                // by offset, without gaps
  std::map<std::string, std::string> metadata;  // all but the list of tensors
  std::vector<std::string> files;               // of the source
  std::string source;                           // the path, for messages
  std::string id;                               // SHA-256 of what is made of what
  int64_t header_bytes = 0;                     // up to the data; a multiple of 4096
  int64_t data_bytes = 0;
  int64_t source_bytes = 0;
  int64_t tensors = 0;  // of the network
  int64_t file_bytes() const { return header_bytes + data_bytes; }
};

// `file` must outlive the plan; `path` is for messages.
Result<ConvertPlan> PlanConversion(const WeightFile& file, const std::string& path,
                                   Packing packing);

// The file's first header_bytes bytes.
std::string PackedHeader(const ConvertPlan& plan, const PackedIndex& index);
// The entry of an item's checksum.
PackedEntry EntryFor(const PackedItem& item, const std::string& sha256);

}  // namespace kontext

#endif  // KONTEXT_MODEL_CONVERT_PLAN_H_
