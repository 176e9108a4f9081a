// Signature: what only this server, or whoever has a client's secret, can have written.
#ifndef KONTEXT_SERVE_SIGNATURE_H_
#define KONTEXT_SERVE_SIGNATURE_H_

#include <string>

#include "base/status.h"

namespace kontext::serve {

// HMAC-SHA256 in hexadecimal (RFC 2104).
std::string HmacHex(const std::string& secret, const std::string& text);
// In a time that does not tell where they differ. Empty texts, as of an HMAC that failed, never
// are.
bool SameText(const std::string& a, const std::string& b);
// The server's own secret, made at its first start: FOLDER/secret, for its owner only.
Result<std::string> ServerSecret(const std::string& folder);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_SIGNATURE_H_
