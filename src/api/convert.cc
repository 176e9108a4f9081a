// kontext/convert.h's Convert and VerifyPacked.
#include "kontext/convert.h"

#include "base/threads.h"
#include "model/convert_model.h"
#include "model/verify_packed.h"

namespace kontext {

Result<ConvertReport> Convert(const ConvertOptions& options, ConvertListener* listener) {
  ConvertListener nobody;
  const ThreadScope threads(options.threads);
  return ConvertModel(options, listener == nullptr ? nobody : *listener);
}

Result<VerifyReport> VerifyPacked(const std::string& path, ConvertListener* listener) {
  ConvertListener nobody;
  const ThreadScope threads(0);
  return VerifyPackedFiles(path, listener == nullptr ? nobody : *listener);
}

}  // namespace kontext
