// Serve(): who may speak to us, and which API answers.
#include <Poco/Net/Context.h>
#include <Poco/Net/HTTPServerParams.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/NetSSL.h>
#include <Poco/Net/SecureServerSocket.h>
#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/TCPServer.h>
#include <Poco/String.h>
#include <Poco/Thread.h>
#include <Poco/ThreadPool.h>

#include <algorithm>
#include <fstream>

#include "base/process_memory.h"
#include "base/status.h"
#include "kontext/serve.h"
#include "serve/a1111.h"
#include "serve/base64.h"
#include "serve/bfl.h"
#include "serve/comfy.h"
#include "serve/connections.h"
#include "serve/exchange.h"
#include "serve/filter.h"
#include "serve/folder_lock.h"
#include "serve/metrics.h"
#include "serve/samples.h"
#include "serve/signature.h"
#include "serve/studio_file.h"
#include "serve/webhooks.h"

namespace kontext {
namespace serve {
namespace {

namespace net = Poco::Net;
constexpr int kThreads = 512;  // an open event stream holds one
constexpr int kSocketSeconds = 30;

struct Shared {
  const ServeOptions& options;
  Queue& queue;
  std::vector<std::string> keys, reviewers;  // hashes
  std::atomic<bool> ready = true;
  std::atomic<int64_t> requests = 0;
};

// Of a Host or Origin header, in small letters; empty if it is more than a host and a port.
std::string HostOf(std::string text) {
  if (const size_t scheme = text.find("://"); scheme != std::string::npos)
    text.erase(0, scheme + 3);
  const size_t colon = text.find(':', text.starts_with('[') ? text.find(']') : 0);
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (port.find_first_not_of("0123456789") != std::string::npos) return "";
  return Poco::toLower(text.substr(0, colon));
}

bool IsLocal(const std::string& host) {
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]" || host == "::1";
}

class Handler {
 public:
  explicit Handler(Shared& shared) : shared_(shared) {}

  void Handle(net::HTTPServerRequest& request, net::HTTPServerResponse& response,
              Connections::Place& place) const {
    const double begin = Now();
    ++shared_.requests;
    Json line;
    std::string problem;
    try {
      Exchange exchange(shared_.queue, request, response, place);
      line["request"] = exchange.id;
      problem = AnswerOrTell(exchange);
      if (!exchange.accepted.empty()) line["edit"] = exchange.accepted;
      if (!exchange.prompt.empty()) line["prompt"] = exchange.prompt;
    } catch (const std::exception&) {  // the client has left
      response.setKeepAlive(false);
    }
    if (!shared_.options.log) return;
    std::string path = request.getURI();
    line["method"] = request.getMethod();
    line["path"] = path.substr(0, std::min(path.find('?'), size_t{200}));
    line["status"] = static_cast<int>(response.getStatus());
    line["seconds"] = Now() - begin;
    if (!problem.empty()) line["problem"] = problem;
    shared_.options.log(line.dump(-1, ' ', true, Json::error_handler_t::replace));
  }

 private:
  // A page from elsewhere may point its own name at this address (DNS rebinding), or post to it.
  bool FromHere(const Exchange& x) const {
    const auto& names = shared_.options.host_names;
    const auto known = [&](const std::string& host) {
      return IsLocal(host) || host == shared_.options.host ||
             std::find(names.begin(), names.end(), host) != names.end();
    };
    if (x.Count("Host") != 1 || !known(HostOf(x.request.get("Host")))) return false;
    return !x.request.has("Origin") || OriginNamed(x) || known(HostOf(x.request.get("Origin")));
  }

  bool OriginNamed(const Exchange& x) const {
    const auto& origins = shared_.options.origins;
    return x.Count("Origin") == 1 &&
           std::find(origins.begin(), origins.end(), x.request.get("Origin")) != origins.end();
  }

  // Lets the browser give our answers to a page of such an origin (CORS, in the Fetch standard).
  // True after the question that a browser asks before, which has no key, was answered.
  bool Preflight(Exchange& x) const {
    if (!OriginNamed(x)) return false;
    x.response.set("Access-Control-Allow-Origin", x.request.get("Origin"));
    x.response.set("Access-Control-Expose-Headers", "Retry-After");
    x.response.set("Vary", "Origin");
    if (x.method != "OPTIONS" || !x.request.has("Access-Control-Request-Method")) return false;
    x.response.set("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE");
    x.response.set("Access-Control-Allow-Headers",
                   "Authorization, Content-Type, Idempotency-Key, X-Key");
    x.response.set("Access-Control-Max-Age", "600");
    x.SendBytes("text/plain", "");
    return true;
  }

  // Of the client, hashed: whose edits it sees.
  static std::string KeyOf(const Exchange& x) {
    std::string key = x.request.get("x-key", "");
    const std::string bearer = x.request.get("Authorization", "");
    if (key.empty() && bearer.starts_with("Bearer ")) key = bearer.substr(7);
    if (key.empty() && bearer.starts_with("Basic ")) {  // A1111's --api-auth; any user's name
      const std::string pair = FromBase64(bearer.substr(6)).value_or("");
      if (const size_t colon = pair.find(':'); colon != std::string::npos)
        key = pair.substr(colon + 1);
    }
    // A page cannot give headers to a WebSocket.
    const bool socket = !x.path.empty() && x.path.back() == "ws" && IsComfyRoute(x);
    if (const auto token = x.query.find("token"); key.empty() && socket && token != x.query.end())
      key = token->second;
    return HashOf(key);
  }

  static bool IsIn(const std::vector<std::string>& hashes, const std::string& owner) {
    bool known = false;
    for (const std::string& hash : hashes) known = known || hash == owner;
    return known;
  }

  // True after an answer was sent.
  bool Reviewed(Exchange& x) const {
    if (x.path.size() < 2 || x.path[0] != "v1" || x.path[1] != "review") return false;
    const bool open = shared_.keys.empty() && shared_.reviewers.empty();
    const std::string owner = open ? "" : KeyOf(x);
    if (open || IsIn(shared_.reviewers, owner)) {
      x.owner = owner;
      return ReviewApi(x);
    }
    if (IsIn(shared_.keys, owner)) {
      x.Fail(403, "no_reviewer", "this key may not review");
    } else {
      x.Fail(401, "unauthorized", "send a reviewer's key: Authorization: Bearer KEY");
    }
    return true;
  }

  // What went wrong in here, for the log: a library below us has thrown.
  std::string AnswerOrTell(Exchange& x) const {
    std::string problem;
    try {
      Answer(x);
    } catch (const net::NetException&) {  // the client has left
      x.response.setKeepAlive(false);
    } catch (const Poco::TimeoutException&) {  // or takes nothing
      x.response.setKeepAlive(false);
    } catch (const Poco::Exception& error) {
      problem = error.displayText();
    } catch (const std::exception& error) {
      problem = error.what();
    }
    if (!problem.empty() && !x.response.sent())
      x.Fail(500, "internal", "the server could not answer this; its log says why");
    return problem;
  }

  void Answer(Exchange& x) const {
    SpeakAs(x);
    if (!FromHere(x))
      return x.Fail(403, "wrong_host",
                    "this Host or Origin is not answered; start with --host-name or --origin to "
                    "allow it");
    if (Preflight(x)) return;
    if (!x.sound_url) return x.Fail(400, "bad_url", "the URL is none: a %XX that cannot be read");
    if (x.Is("GET", "healthz")) return x.Send(200, {{"ok", true}});
    if (x.Is("GET", "readyz")) {
      const bool ready = shared_.ready && shared_.queue.trouble().empty();
      return x.Send(ready ? 200 : 503, {{"ready", ready}});
    }
    if (StudioFile(x)) return;
    if (Samples(x) || BflGivenPoll(x)) return;  // their URLs are signed
    if (Reviewed(x)) return;
    if (!shared_.keys.empty()) x.owner = KeyOf(x);
    if (!shared_.keys.empty() && !IsIn(shared_.keys, x.owner)) {
      if (x.error_json == A1111Error) x.response.set("WWW-Authenticate", "Basic");
      return x.Fail(401, "unauthorized", "send a key: Authorization: Bearer KEY, or x-key: KEY");
    }
    if (x.Is("GET", "metrics")) return SendMetrics(x, shared_.requests);
    for (const Api api : {Native, ProjectApi, OpenAi, Bfl, A1111, ComfyUi}) {
      if (api(x)) return;
    }
    x.FailUnanswered();
  }

  // Errors in the shape of the API that is spoken to.
  static void SpeakAs(Exchange& x) {
    if (!x.path.empty() && x.path[0] == "sdapi") x.error_json = A1111Error;
    if (IsComfyRoute(x)) x.error_json = ComfyError;
    if (IsBflRoute(x)) x.error_json = BflError;
    if (!IsOpenAiRoute(x)) return;
    x.error_json = OpenAiError;
    x.conflict_status = 422;  // draft-ietf-httpapi-idempotency-key-header
  }

  Shared& shared_;
};

Result<std::vector<std::string>> ReadKeys(const std::vector<std::string>& files) {
  std::vector<std::string> hashes;
  for (const std::string& file : files) {
    std::ifstream in(file);
    if (!in) return BadInput("{}: the file of keys cannot be read", file);
    for (std::string line; std::getline(in, line);) {
      if (!line.empty() && line.size() < 16)
        return BadInput("{}: a key of {} characters; at least 16", file, line.size());
      if (!line.empty()) hashes.push_back(HashOf(line));
    }
  }
  return hashes;
}

// As a browser writes it in the header Origin.
bool IsOrigin(const std::string& text) {
  const size_t scheme = text.find("://");
  return (text.starts_with("http://") || text.starts_with("https://")) &&
         Poco::toLower(text) == text && !HostOf(text).empty() &&
         text.find_first_of("/*@?# ", scheme + 3) == std::string::npos;
}

// What an edit that was begun must find again to go on with the same result: see ResumePoint.
std::string EngineName(const Engine& engine, const EngineOptions& o) {
  Json name = {engine.model().fingerprint, o.backend, o.dtype, o.merge_loras};
  for (const LoraChoice& lora : o.loras) {
    name.push_back(lora.path);
    name.push_back(lora.strength ? Json(*lora.strength) : Json());
  }
  return name.dump(-1, ' ', true, Json::error_handler_t::replace);
}

net::ServerSocket Listen(const ServeOptions& o) {
  const Poco::Net::SocketAddress address(o.host, static_cast<Poco::UInt16>(o.port));
  if (o.certificate.empty()) return net::ServerSocket(address);
  Poco::Net::initializeSSL();
  net::Context::Ptr context(new net::Context(net::Context::TLS_SERVER_USE, o.private_key,
                                             o.certificate, "", net::Context::VERIFY_NONE));
  context->requireMinimumProtocol(net::Context::PROTO_TLSV1_2);
  return net::SecureServerSocket(address, 64, context);
}

Status Run(const ServeOptions& o, const std::atomic<bool>& stop) {
  KX_ASSIGN_OR_RETURN(std::vector<std::string> keys, ReadKeys(o.keys));
  if (keys.empty() && !IsLocal(o.host))
    return Usage("--host {}: others can reach this address; give a file of keys with --keys",
                 o.host);
  KX_ASSIGN_OR_RETURN(std::vector<std::string> reviewers, ReadKeys(o.reviewer_keys));
  if (o.review && !keys.empty() && reviewers.empty())
    return Usage("--review with --keys: say who may review with --reviewer-keys");
  for (const std::string& filter : {o.filter_before, o.filter_after}) {
    if (!IsFilterUrl(filter)) continue;
    if (const auto target = FilterTarget(filter); !target.ok())
      return Usage("{}", target.message());
  }
  for (const std::string& origin : o.origins) {
    if (!IsOrigin(origin))
      return Usage("--origin {}: must be as browsers write it, https://NAME or https://NAME:PORT",
                   origin);
  }
  if (o.certificate.empty() != o.private_key.empty())
    return Usage("--certificate and --private-key come together");
  KX_ASSIGN_OR_RETURN(const FolderLock lock, FolderLock::Take(o.folder));
  KX_ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, OpenSqliteStore(o.folder));
  KX_ASSIGN_OR_RETURN(Engine engine, Engine::Open(o.engine));
  KX_RETURN_IF_ERROR(store->Requeue(EngineName(engine, o.engine)));
  KX_ASSIGN_OR_RETURN(std::string secret, ServerSecret(o.folder));
  Queue queue(o, *store, engine, std::move(secret));
  const WebhookSender webhooks(queue);
  Shared shared{o, queue, std::move(keys), std::move(reviewers)};
  net::ServerSocket socket = Listen(o);
  Connections connections;
  Poco::ThreadPool threads(4, kThreads);
  net::HTTPServerParams::Ptr parameters(new net::HTTPServerParams);
  parameters->setMaxThreads(kThreads);
  parameters->setTimeout(Poco::Timespan(kSocketSeconds, 0));
  parameters->setKeepAliveTimeout(Poco::Timespan(15, 0));
  parameters->setSoftwareVersion("kontext");
  const Handler handler(shared);
  const auto handle = [&](auto& request, auto& response, auto& place) {
    handler.Handle(request, response, place);
  };
  net::TCPServer server(ServeHttp(connections, parameters, handle), threads, socket, parameters);
  server.start();
  if (o.ready)
    o.ready(fmt::format("{}://{}", o.certificate.empty() ? "http" : "https",
                        socket.address().toString()));
  while (!stop) Poco::Thread::sleep(50);
  shared.ready = false;
  queue.Stop();
  server.stop();
  connections.EndAll();
  return Status();
}

}  // namespace
}  // namespace serve

Status Serve(const ServeOptions& options, const std::atomic<bool>& stop) {
  BoundFreedMemory();
  try {
    return serve::Run(options, stop);
  } catch (const std::exception& error) {
    return BadInput("serve: {}:{}: {}", options.host, options.port, error.what());
  }
}

}  // namespace kontext
