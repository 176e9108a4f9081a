#include "serve/outbound.h"

#include <Poco/Net/IPAddress.h>
#include <Poco/String.h>
#include <Poco/URI.h>

#include <algorithm>
#include <array>

namespace kontext::serve {
namespace {

namespace net = Poco::Net;

bool Below(const net::IPAddress& address, const char* network, unsigned bits) {
  const net::IPAddress mask(bits, address.family());
  return (address & mask) == net::IPAddress(network);
}

bool IsPublic(const net::IPAddress& a) {
  constexpr std::array<std::pair<const char*, unsigned>, 14> kSpecial4 = {{{"0.0.0.0", 8},
                                                                           {"10.0.0.0", 8},
                                                                           {"100.64.0.0", 10},
                                                                           {"127.0.0.0", 8},
                                                                           {"169.254.0.0", 16},
                                                                           {"172.16.0.0", 12},
                                                                           {"192.0.0.0", 24},
                                                                           {"192.0.2.0", 24},
                                                                           {"192.168.0.0", 16},
                                                                           {"198.18.0.0", 15},
                                                                           {"198.51.100.0", 24},
                                                                           {"203.0.113.0", 24},
                                                                           {"224.0.0.0", 4},
                                                                           {"240.0.0.0", 4}}};
  // Of 2000::/3, the only public one: Teredo and its neighbours, documentation, 6to4.
  constexpr std::array<std::pair<const char*, unsigned>, 3> kSpecial6 = {
      {{"2001::", 23}, {"2001:db8::", 32}, {"2002::", 16}}};
  const auto inside = [&](const auto& range) { return Below(a, range.first, range.second); };
  if (a.family() == net::IPAddress::IPv4)
    return std::none_of(kSpecial4.begin(), kSpecial4.end(), inside);
  return Below(a, "2000::", 3) && std::none_of(kSpecial6.begin(), kSpecial6.end(), inside);
}

}  // namespace

bool IsPublicAddress(const std::string& address) {
  net::IPAddress parsed;
  return net::IPAddress::tryParse(address, parsed) && IsPublic(parsed);
}

Result<Target> ParseTarget(const std::string& url, const std::vector<std::string>& hosts,
                           const char* flag) {
  const auto odd = [](unsigned char c) { return c <= ' ' || c >= 0x7f; };
  if (std::any_of(url.begin(), url.end(), odd))
    return BadInput("must be a URL without spaces and control characters");
  Target target;
  try {
    const Poco::URI uri(url);
    if (uri.getScheme() != "http" && uri.getScheme() != "https")
      return BadInput("must be an http or https URL");
    if (!uri.getUserInfo().empty() || uri.getHost().empty())
      return BadInput("must be a URL with a host and without a name or password");
    target.tls = uri.getScheme() == "https";
    target.host = Poco::toLower(uri.getHost());
    target.authority = uri.getAuthority();
    target.port = uri.getPort();
    target.path = uri.getPathAndQuery().empty() ? "/" : uri.getPathAndQuery();
  } catch (const std::exception&) {
    return BadInput("must be an http or https URL");
  }
  if (!target.path.starts_with('/')) target.path = fmt::format("/{}", target.path);
  bool allowed = false;
  for (const std::string& entry : hosts) {
    const std::string host = Poco::toLower(entry);
    if (host == target.host || host == fmt::format("[{}]", target.host)) {
      target.any_address = true;
      return target;
    }
    allowed =
        allowed || host == "*" || (host.starts_with("*.") && target.host.ends_with(host.substr(1)));
  }
  if (!allowed) {
    return BadInput(
        "the host {} is not one that this server speaks to; its operator names hosts "
        "with {}",
        target.host, flag);
  }
  net::IPAddress literal;
  if (net::IPAddress::tryParse(target.host, literal) && !IsPublic(literal))
    return BadInput("the address {} is not public; name it with {} to allow it", target.host, flag);
  return target;
}

}  // namespace kontext::serve
