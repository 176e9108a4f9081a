// Compares every tensor of a packed file with its checksum.
#ifndef KONTEXT_MODEL_VERIFY_PACKED_H_
#define KONTEXT_MODEL_VERIFY_PACKED_H_

#include <string>

#include "base/status.h"
#include "kontext/convert.h"

namespace kontext {

Result<VerifyReport> VerifyPackedFiles(const std::string& path, ConvertListener& listener);

}  // namespace kontext

#endif  // KONTEXT_MODEL_VERIFY_PACKED_H_
