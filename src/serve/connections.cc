#include "serve/connections.h"

#include <Poco/Net/HTTPServerRequestImpl.h>
#include <Poco/Net/HTTPServerResponseImpl.h>
#include <Poco/Net/HTTPServerSession.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/TCPServerConnection.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string>

namespace kontext::serve {
namespace {

namespace net = Poco::Net;
constexpr double kHeadSeconds = 30;   // of a request, from its connection or the request before
constexpr double kLingerSeconds = 2;  // for what a client sends that was refused before its end
constexpr auto kWatchEvery = std::chrono::milliseconds(500);

double Steady() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Not by POCO's own shutdown(): TLS may not be spoken by two threads on one socket.
void EndSocket(const net::StreamSocket& socket) {
  (void)shutdown(socket.impl()->sockfd(), SHUT_RDWR);
}

// Closing a socket with unread bytes resets the connection, and the client may lose the answer that
// says what was wrong (RFC 9112, 9.6).
void Linger(net::StreamSocket socket) {
  try {
    if (!socket.impl()->initialized()) return;
    socket.shutdownSend();
    socket.setReceiveTimeout(Poco::Timespan(1, 0));
    std::array<char, size_t{1} << 16> bytes;
    const double end = Steady() + kLingerSeconds;
    while (Steady() < end && socket.receiveBytes(bytes.data(), bytes.size()) > 0) {
    }
  } catch (const Poco::Exception&) {  // the client has left
  }
}

class Connection : public net::TCPServerConnection {
 public:
  Connection(const net::StreamSocket& socket, Connections& all,
             net::HTTPServerParams::Ptr parameters, const HandleRequest& handle)
      : net::TCPServerConnection(socket),
        all_(all),
        parameters_(std::move(parameters)),
        handle_(handle) {}

  void run() override {
    try {
      Connections::Place place(all_, socket());
      net::HTTPServerSession session(socket(), parameters_);
      place.Give(kHeadSeconds);
      while (session.hasMoreRequests() && AnswerOne(session, place)) place.Give(kHeadSeconds);
      Linger(session.socket());
    } catch (const std::exception&) {  // the client has left, or was too slow
    }
  }

 private:
  // False if it was the connection's last request.
  bool AnswerOne(net::HTTPServerSession& session, Connections::Place& place) {
    net::HTTPServerResponseImpl response(session);
    try {
      net::HTTPServerRequestImpl request(response, session, parameters_.get());
      place.Give(0);
      response.setDate(Poco::Timestamp());
      response.setVersion(request.getVersion());
      response.setKeepAlive(parameters_->getKeepAlive() && request.getKeepAlive() &&
                            session.canKeepAlive());
      response.set("Server", parameters_->getSoftwareVersion());
      handle_(request, response, place);
      session.setKeepAlive(response.getKeepAlive() && session.canKeepAlive());
      return session.getKeepAlive();
    } catch (const net::NoMessageException&) {  // it was closed between two requests
    } catch (const net::NetException& error) {
      Refuse(response, error.message());
    } catch (const Poco::SyntaxException& error) {  // a Content-Length that is no number
      Refuse(response, error.message());
    }
    return false;
  }

  // What comes is no HTTP, so which API it was meant for is not known: the native one's shape.
  static void Refuse(net::HTTPServerResponseImpl& response, const std::string& why) {
    if (response.sent()) return;
    std::string text;
    for (const char c : why.substr(0, 100))
      text += c >= ' ' && c < 127 && c != '"' && c != '\\' ? c : '?';
    const std::string body =
        R"({"error":{"code":"bad_request","message":"this is no HTTP request: )" + text +
        R"(","request_id":"none"}})";
    response.setStatusAndReason(net::HTTPResponse::HTTP_BAD_REQUEST);
    response.setContentType("application/json");
    response.setKeepAlive(false);
    response.sendBuffer(body.data(), body.size());
  }

  Connections& all_;
  net::HTTPServerParams::Ptr parameters_;
  const HandleRequest& handle_;
};

class Factory : public net::TCPServerConnectionFactory {
 public:
  Factory(Connections& all, net::HTTPServerParams::Ptr parameters, HandleRequest handle)
      : all_(all), parameters_(std::move(parameters)), handle_(std::move(handle)) {}
  net::TCPServerConnection* createConnection(const net::StreamSocket& socket) override {
    return new Connection(socket, all_, parameters_, handle_);  // POCO deletes it
  }

 private:
  Connections& all_;
  net::HTTPServerParams::Ptr parameters_;
  HandleRequest handle_;
};

}  // namespace

Connections::Connections() : watcher_([this] { Watch(); }) {}

Connections::~Connections() {
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
  }
  wake_.notify_all();
  watcher_.join();
}

void Connections::Watch() {
  std::unique_lock lock(mutex_);
  while (!gone_) {
    wake_.wait_for(lock, kWatchEvery);
    const double now = Steady();
    for (Place* const place : places_) {
      if (place->until_ == 0 || now < place->until_) continue;
      EndSocket(place->socket_);
      place->until_ = 0;
    }
  }
}

void Connections::EndAll() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  for (Place* const place : places_) EndSocket(place->socket_);
}

Connections::Place::Place(Connections& all, const net::StreamSocket& socket)
    : all_(all), socket_(socket) {
  const std::lock_guard lock(all_.mutex_);
  all_.places_.insert(this);
  if (all_.ending_) EndSocket(socket_);
}

Connections::Place::~Place() {
  const std::lock_guard lock(all_.mutex_);
  all_.places_.erase(this);
}

void Connections::Place::Give(double seconds) {
  const std::lock_guard lock(all_.mutex_);
  until_ = seconds > 0 ? Steady() + seconds : 0;
}

bool Connections::Place::Ended() const {
  pollfd polled = {socket_.impl()->sockfd(), POLLRDHUP, 0};
  return poll(&polled, 1, 0) > 0;
}

net::TCPServerConnectionFactory::Ptr ServeHttp(Connections& connections,
                                               net::HTTPServerParams::Ptr parameters,
                                               HandleRequest handle) {
  return new Factory(connections, std::move(parameters), std::move(handle));
}

}  // namespace kontext::serve
