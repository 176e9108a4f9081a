// The whole conversion: a file, or a model directory with everything in it (kontext/convert.h).
#ifndef KONTEXT_MODEL_CONVERT_MODEL_H_
#define KONTEXT_MODEL_CONVERT_MODEL_H_

#include "base/status.h"
#include "kontext/convert.h"

namespace kontext {

Result<ConvertReport> ConvertModel(const ConvertOptions& options, ConvertListener& listener);

}  // namespace kontext

#endif  // KONTEXT_MODEL_CONVERT_MODEL_H_
