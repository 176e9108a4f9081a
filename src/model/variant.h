// Which FLUX.1 a transformer with Kontext's shapes is. Tensors cannot tell Kontext [dev] from
// [dev]: the published sums, the metadata and the names decide, in that order (product 3).
#ifndef KONTEXT_MODEL_VARIANT_H_
#define KONTEXT_MODEL_VARIANT_H_

#include <map>
#include <string>

#include "model/published.h"

namespace kontext {

struct ToldVariant {
  Variant variant = Variant::kUnknown;
  std::string text;  // "Kontext [dev], by the file's name ..."; what it is and who says so
};

// `sha256`: of the file, empty if it was not made. `bytes`: its size, 0 if unknown; the size of a
// published file counts as the sum's stand-in. Of a path the last part that says something counts.
ToldVariant TellVariant(const std::string& sha256, int64_t bytes,
                        const std::map<std::string, std::string>& metadata,
                        const std::string& path);

}  // namespace kontext

#endif  // KONTEXT_MODEL_VARIANT_H_
