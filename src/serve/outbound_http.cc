// HTTP as a client, of one request a connection. POCO's own client reads an answer's head without a
// bound in time, and resolves names by itself.
#include <Poco/Net/Context.h>
#include <Poco/Net/DNS.h>
#include <Poco/Net/NetSSL.h>
#include <Poco/Net/SecureStreamSocket.h>
#include <Poco/Net/StreamSocket.h>
#include <Poco/String.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "serve/outbound.h"

namespace kontext::serve {
namespace {

namespace net = Poco::Net;
using Clock = std::chrono::steady_clock;
constexpr size_t kMostHead = size_t{1} << 14;
constexpr size_t kMostChunkLine = 1000;
const Poco::Timespan kLook(0, 50'000);  // microseconds between two looks at `stopped`

// The addresses of the target's host that may be spoken to.
Result<std::vector<net::SocketAddress>> Resolve(const Target& target) {
  const net::HostEntry entry = net::DNS::resolve(target.host);
  std::vector<net::SocketAddress> addresses;
  for (const net::IPAddress& address : entry.addresses()) {
    if (target.any_address || IsPublicAddress(address.toString()))
      addresses.emplace_back(address, target.port);
  }
  if (!addresses.empty()) return addresses;
  return BadInput("{}: no public address, and the host is not named as it is", target.host);
}

// One connection to an address that was checked, until a time.
class Connection {
 public:
  explicit Connection(double seconds, std::function<bool()> stopped = nullptr)
      : stopped_(std::move(stopped)),
        end_(Clock::now() +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

  Status Open(const Target& target) {
    KX_ASSIGN_OR_RETURN(const std::vector<net::SocketAddress> addresses, Resolve(target));
    std::string problem = "no connection";
    bool connected = false;
    for (size_t i = 0; i < addresses.size() && !connected; ++i) {  // a name may have several
      if (Left() <= 0) return BadInput("no connection in time");
      try {
        socket_ = net::StreamSocket();
        socket_.connect(addresses[i], Span());
        connected = true;
      } catch (const Poco::Exception& error) {
        problem = error.displayText();
      }
    }
    if (!connected) return BadInput("{}: {}", target.authority, problem);
    socket_.setSendTimeout(Span());
    socket_.setReceiveTimeout(Span());
    if (!target.tls) return Status();
    net::initializeSSL();
    // The system's roots, or those of SSL_CERT_FILE and SSL_CERT_DIR.
    net::Context::Ptr context(
        new net::Context(net::Context::TLS_CLIENT_USE, "", net::Context::VERIFY_STRICT, 9, true));
    context->requireMinimumProtocol(net::Context::PROTO_TLSV1_2);
    context->enableExtendedCertificateVerification(true);
    socket_ = net::SecureStreamSocket::attach(socket_, target.host, context);
    return Status();
  }

  Status Send(const std::string& bytes) {
    for (size_t sent = 0; sent < bytes.size();) {
      if (Left() <= 0) return BadInput("the request was not taken in time");
      const int took =
          socket_.sendBytes(bytes.data() + sent, static_cast<int>(bytes.size() - sent));
      if (took <= 0) return BadInput("the connection was closed");
      sent += static_cast<size_t>(took);
    }
    return Status();
  }

  // Appends what has come; false at the end of the connection.
  Result<bool> Receive(std::string& bytes) {
    // What TLS has read already is not at the socket any more.
    while (stopped_ && socket_.available() == 0 && !socket_.poll(kLook, net::Socket::SELECT_READ)) {
      if (stopped_()) return Status(Code::kCancelled, "stopped");
      if (Left() <= 0) return BadInput("no answer in time");
    }
    if (Left() <= 0) return BadInput("no answer in time");
    socket_.setReceiveTimeout(Span());
    const int got = socket_.receiveBytes(buffer_.data(), static_cast<int>(buffer_.size()));
    if (got > 0) bytes.append(buffer_.data(), static_cast<size_t>(got));
    return got > 0;
  }

 private:
  double Left() const { return std::chrono::duration<double>(end_ - Clock::now()).count(); }
  Poco::Timespan Span() const {
    return Poco::Timespan(static_cast<Poco::Timespan::TimeDiff>(std::max(Left(), 0.001) * 1e6));
  }
  std::function<bool()> stopped_;  // looked at while it waits for an answer; or null
  Clock::time_point end_;
  net::StreamSocket socket_;
  std::array<char, size_t{1} << 14> buffer_{};
};

// An answer's status line and fields, and how its body is told apart from what follows.
struct Head {
  int code = 0;
  bool chunked = false;
  std::optional<size_t> length;
};

// "HTTP/1.1 200 OK".
Result<int> CodeOf(const std::string& head) {
  const size_t space = head.find(' ');
  int code = 0;
  if (head.starts_with("HTTP/") && space != std::string::npos && head.size() >= space + 4)
    std::from_chars(head.data() + space + 1, head.data() + space + 4, code);
  if (code < 100) return BadInput("the answer is no HTTP");
  return code;
}

Result<Head> ParseHead(const std::string& text) {
  Head head;
  KX_ASSIGN_OR_RETURN(head.code, CodeOf(text));
  for (size_t from = text.find("\r\n"); from != std::string::npos;) {
    from += 2;
    const size_t to = std::min(text.find("\r\n", from), text.size());
    const std::string line = text.substr(from, to - from);
    from = to == text.size() ? std::string::npos : to;
    const size_t colon = std::min(line.find(':'), line.size());
    const std::string name = Poco::toLower(line.substr(0, colon));
    const std::string value = colon == line.size() ? "" : Poco::trim(line.substr(colon + 1));
    if (name == "transfer-encoding") {
      if (Poco::toLower(value) != "chunked") return BadInput("its transfer encoding is unknown");
      head.chunked = true;
    }
    if (name != "content-length") continue;
    size_t length = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (error != std::errc() || end != value.data() + value.size())
      return BadInput("its Content-Length is no number");
    head.length = length;
  }
  return head;
}

// RFC 9112, 7.1: moves whole chunks from the front of `raw` to `body`; true after the last one.
Result<bool> TakeChunks(std::string& raw, std::string& body, size_t most) {
  size_t at = 0;
  bool last = false;
  while (!last) {
    const size_t line = raw.find("\r\n", at);
    if (line == std::string::npos && raw.size() - at <= kMostChunkLine) break;
    size_t size = 0;
    const char* const begin = raw.data() + at;
    const char* const stop = raw.data() + std::min(line, raw.size());
    const auto [end, error] = std::from_chars(begin, stop, size, 16);
    if (line == std::string::npos || error != std::errc() ||
        (end != stop && *end != ';' && *end != ' '))
      return BadInput("its chunks are broken");
    if (size > most - body.size()) return BadInput("it has more than {} bytes", most);
    last = size == 0;  // fields after the last chunk are not looked at
    if (!last && raw.size() - line - 2 < size + 2) break;
    body.append(raw, line + 2, size);
    at = last ? raw.size() : line + 2 + size + 2;
  }
  raw.erase(0, at);
  return last;
}

Result<std::string> ReadBody(Connection& connection, const Head& head, std::string raw,
                             size_t most) {
  const Status large = BadInput("it has more than {} bytes", most);
  if (head.length.value_or(0) > most && !head.chunked) return large;
  std::string body;
  while (true) {
    if (head.chunked) {
      KX_ASSIGN_OR_RETURN(const bool complete, TakeChunks(raw, body, most));
      if (complete) return body;
    } else {
      if (head.length && raw.size() >= *head.length) return raw.substr(0, *head.length);
      if (raw.size() > most) return large;
    }
    KX_ASSIGN_OR_RETURN(const bool more, connection.Receive(raw));
    if (more) continue;
    if (head.chunked || head.length) return BadInput("it was cut short");
    return raw;
  }
}

// The whole answer to a request that was sent; the body only if `wanted` says so of its code.
Result<HttpAnswer> ReadAnswer(Connection& connection, size_t most,
                              const std::function<bool(int)>& wanted) {
  std::string raw;
  size_t end = std::string::npos;
  while ((end = raw.find("\r\n\r\n")) == std::string::npos) {
    if (raw.size() > kMostHead) return BadInput("the head of the answer is too long");
    KX_ASSIGN_OR_RETURN(const bool more, connection.Receive(raw));
    if (!more) return BadInput("the answer is no HTTP");
  }
  KX_ASSIGN_OR_RETURN(const Head head, ParseHead(raw.substr(0, end)));
  HttpAnswer answer{head.code, ""};
  if (!wanted(head.code)) return answer;
  KX_ASSIGN_OR_RETURN(answer.body, ReadBody(connection, head, raw.substr(end + 4), most));
  return answer;
}

Result<std::string> Get(const Target& target, size_t most, double seconds) {
  Connection connection(seconds);
  KX_RETURN_IF_ERROR(connection.Open(target));
  KX_RETURN_IF_ERROR(connection.Send(
      fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kontext\r\nAccept: image/*\r\n"
                  "Accept-Encoding: identity\r\nConnection: close\r\n\r\n",
                  target.path, target.authority)));
  KX_ASSIGN_OR_RETURN(HttpAnswer answer,
                      ReadAnswer(connection, most, [](int code) { return code == 200; }));
  if (answer.code != 200) return BadInput("answered {}", answer.code);
  return std::move(answer.body);
}

std::string PostText(const Target& target,
                     const std::vector<std::pair<std::string, std::string>>& headers,
                     const std::string& body) {
  std::string request = fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: kontext\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\nConnection: close\r\n",
      target.path, target.authority, body.size());
  for (const auto& [name, value] : headers) request += name + ": " + value + "\r\n";
  return request + "\r\n" + body;
}

Result<int> Post(const Target& target, const std::string& request, double seconds) {
  Connection connection(seconds);
  KX_RETURN_IF_ERROR(connection.Open(target));
  KX_RETURN_IF_ERROR(connection.Send(request));
  std::string line;
  while (line.find('\n') == std::string::npos && line.size() < kMostHead) {
    KX_ASSIGN_OR_RETURN(const bool more, connection.Receive(line));
    if (!more) break;
  }
  return CodeOf(line);
}

}  // namespace

Result<int> PostJson(const Target& target,
                     const std::vector<std::pair<std::string, std::string>>& headers,
                     const std::string& body, double seconds) {
  try {
    return Post(target, PostText(target, headers, body), seconds);
  } catch (const std::exception& error) {
    return BadInput("{}: {}", target.authority, error.what());
  }
}

Result<HttpAnswer> AskJson(const Target& target, const std::string& body, size_t most,
                           double seconds, const std::function<bool()>& stopped) {
  try {
    Connection connection(seconds, stopped);
    KX_RETURN_IF_ERROR(connection.Open(target));
    KX_RETURN_IF_ERROR(connection.Send(PostText(target, {}, body)));
    return ReadAnswer(connection, most, [](int code) { return code != 204; });
  } catch (const std::exception& error) {
    return BadInput("{}: {}", target.authority, error.what());
  }
}

Result<std::string> GetBytes(const Target& target, size_t most, double seconds) {
  try {
    return Get(target, most, seconds);
  } catch (const Poco::Exception& error) {
    return BadInput("{}: {}", target.authority, error.displayText());
  } catch (const std::exception& error) {
    return BadInput("{}: {}", target.authority, error.what());
  }
}

}  // namespace kontext::serve
