// PictureSource: the bytes behind what clients write where a picture is meant, of one request.
#ifndef KONTEXT_SERVE_PICTURE_SOURCE_H_
#define KONTEXT_SERVE_PICTURE_SOURCE_H_

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/json.h"
#include "kontext/serve.h"

namespace kontext::serve {

class PictureSource {
 public:
  explicit PictureSource(const ServeOptions& options);

  // Base64, a data: URL, or an http(s) URL at a host of --image-host. Without `fetch`, as in a
  // request that is refused anyway, a URL is checked only, and there are no bytes. What comes may
  // be no picture.
  Result<std::optional<std::string>> Read(const Json& value, bool fetch);

 private:
  const std::vector<std::string>& hosts_;
  size_t left_bytes_;  // as much as a body may bring
  double until_;       // by the steady clock
};

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_PICTURE_SOURCE_H_
