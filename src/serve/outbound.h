// Outbound: the requests that this server makes by itself, only to hosts its operator named.
#ifndef KONTEXT_SERVE_OUTBOUND_H_
#define KONTEXT_SERVE_OUTBOUND_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace kontext::serve {

struct Target {
  bool tls = false;
  bool any_address = false;  // its host was named as it is; otherwise public addresses only
  std::string host;          // without the brackets of IPv6
  std::string authority;     // as in the URL, for the Host header
  uint16_t port = 0;
  std::string path;
};

// Of an http or https URL. `hosts` are the names and addresses that may be spoken to: "*.NAME"
// means every name below NAME, "*" every host, both at public addresses only. `flag` is for
// messages.
Result<Target> ParseTarget(const std::string& url, const std::vector<std::string>& hosts,
                           const char* flag);

// Whether `address` is one of the public internet, and not of this machine, a private network, or
// one of the ranges that carry such an address inside (IANA's special-purpose registries).
bool IsPublicAddress(const std::string& address);

// Sends `body` as JSON and gives the status code of the answer, whose rest is not read. A redirect
// is an answer like any other.
Result<int> PostJson(const Target& target,
                     const std::vector<std::pair<std::string, std::string>>& headers,
                     const std::string& body, double seconds);

struct HttpAnswer {
  int code = 0;
  std::string body;
};
// The same with the answer's body, `most` bytes at most; kCancelled once `stopped` says so.
Result<HttpAnswer> AskJson(const Target& target, const std::string& body, size_t most,
                           double seconds, const std::function<bool()>& stopped);

// The body of a 200: of any type, `most` bytes at most. Anything else, a redirect too, is an error.
Result<std::string> GetBytes(const Target& target, size_t most, double seconds);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_OUTBOUND_H_
