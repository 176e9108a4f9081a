// Base64 with padding, as in JSON bodies and data: URLs.
#ifndef KONTEXT_SERVE_BASE64_H_
#define KONTEXT_SERVE_BASE64_H_

#include <optional>
#include <string>
#include <string_view>

namespace kontext::serve {

std::string ToBase64(std::string_view bytes);
// Of plain base64 or "data:...;base64,..."; nothing for anything else.
std::optional<std::string> FromBase64(std::string_view text);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_BASE64_H_
