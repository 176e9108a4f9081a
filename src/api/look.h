// A weight file, looked at: what Inspect and Doctor both need to know of it.
#ifndef KONTEXT_API_LOOK_H_
#define KONTEXT_API_LOOK_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>

#include "base/status.h"
#include "kontext/kontext.h"
#include "model/check_part.h"
#include "model/variant.h"
#include "weights/identify.h"

namespace kontext {

struct Look {
  Inspection inspection;
  Identity identity;
  ToldVariant variant;                // of a transformer
  std::map<Part, PartWidths> widths;  // of the parts that are whole
};

struct LookOptions {
  bool sha256 = false;                                            // always
  int64_t sum_up_to_bytes = std::numeric_limits<int64_t>::max();  // if the size is a published one
};
// `path`: a weight file, an index of shards or a folder with one. `configs` as for CheckPart.
Result<Look> LookAtWeights(const std::string& path, const std::string& configs,
                           const LookOptions& options);

// "9.8 GB"
std::string GigaBytes(int64_t bytes);

}  // namespace kontext

#endif  // KONTEXT_API_LOOK_H_
