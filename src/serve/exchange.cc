#include "serve/exchange.h"

#include <Poco/Net/MessageHeader.h>
#include <Poco/Net/MultipartReader.h>
#include <Poco/Net/NameValueCollection.h>
#include <Poco/String.h>
#include <Poco/URI.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <sstream>

#include "base/status.h"

namespace kontext::serve {
namespace {

constexpr double kBodySeconds = 60;  // a client that takes longer to send is let go
constexpr double kAnswerSeconds = 60;
constexpr double kSlowestBytes = 16 << 10;  // a second, of a client that takes an answer
constexpr int kMostParts = 64;
constexpr int64_t kMostValues = int64_t{1} << 20;  // of a JSON body
constexpr int64_t kMostBodies = 4;                 // of the largest that are held at once
constexpr int64_t kSmallBody = int64_t{1} << 16;   // is always taken
constexpr int kMostStaying = 300;                  // of the server's threads
std::atomic<int> staying = 0;
std::atomic<int64_t> held_bytes = 0;  // of bodies of all requests

std::vector<std::string> Split(std::string text, char at) {
  std::vector<std::string> parts;
  std::istringstream stream(std::move(text));
  for (std::string part; std::getline(stream, part, at);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

// RFC 9110, 8.6: digits and nothing else; POCO takes signs and spaces too.
bool IsLength(const std::string& text) {
  return !text.empty() && text.size() <= 18 &&
         text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

Exchange::Exchange(Queue& q, Poco::Net::HTTPServerRequest& in, Poco::Net::HTTPServerResponse& out,
                   Connections::Place& place)
    : queue(q),
      request(in),
      response(out),
      method(in.getMethod() == Poco::Net::HTTPRequest::HTTP_HEAD ? "GET" : in.getMethod()),
      place_(place) {
  id = RandomHex(16);
  try {
    const Poco::URI uri(request.getURI());
    uri.getPathSegments(path);
    for (const auto& [name, value] : uri.getQueryParameters()) query[name] = value;
  } catch (const Poco::Exception&) {
    sound_url = false;
    path = Split(request.getURI().substr(0, request.getURI().find('?')), '/');
    query.clear();
  }
  response.set("X-Request-Id", id);
  response.set("X-Content-Type-Options", "nosniff");
}

Exchange::~Exchange() { held_bytes -= reserved_; }

bool Exchange::Is(const char* verb, const std::string& pattern) {
  const std::vector<std::string> parts = Split(pattern, '/');
  if (parts.size() != path.size()) return false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i] != "*" && parts[i] != path[i]) return false;
  }
  Allow(verb);
  return method == verb;
}

void Exchange::FailUnanswered() {
  if (allowed_.empty() || allowed_.contains(method))
    return Fail(404, "not_found", "there is nothing at this path for " + method.substr(0, 20));
  std::string verbs;
  for (const std::string& verb : allowed_) verbs += (verbs.empty() ? "" : ", ") + verb;
  response.set("Allow", verbs);
  Fail(405, "method_not_allowed", "this path takes " + verbs);
}

size_t Exchange::Count(const std::string& header) const {
  return static_cast<size_t>(std::count_if(request.begin(), request.end(), [&](const auto& field) {
    return Poco::icompare(field.first, header) == 0;
  }));
}

// Of all bodies that are held, so that many large requests at once are no end of memory.
bool Exchange::Reserve(size_t bytes) {
  const int64_t most = kMostBodies * queue.options().max_body_bytes;
  const auto more = static_cast<int64_t>(bytes);
  reserved_ += more;
  return (held_bytes += more) <= most || reserved_ <= kSmallBody;
}

// What has come, without waiting for more than that; false at the end.
bool Exchange::ReadSome(std::string& body, double until) {
  std::istream& stream = request.stream();
  if (Now() > until || stream.peek() == std::istream::traits_type::eof()) return false;
  std::array<char, size_t{1} << 16> bytes;
  const auto there = static_cast<std::streamsize>(bytes.size());
  body.append(bytes.data(), static_cast<size_t>(stream.readsome(bytes.data(), there)));
  return true;
}

bool Exchange::ReadBody(std::string& body) {
  body_read_ = true;
  const int64_t most = queue.options().max_body_bytes;
  const auto refuse = [&](int status, const char* code, const std::string& message) {
    response.setKeepAlive(false);
    Fail(status, code, message);
    return false;
  };
  const bool chunked = request.getChunkedTransferEncoding(), sized = Count("Content-Length") > 0;
  if (!chunked && request.has("Transfer-Encoding"))
    return refuse(400, "bad_length", "Transfer-Encoding may be chunked only");
  if (Count("Content-Length") > 1 || (chunked && sized) ||
      (sized && !IsLength(request.get("Content-Length"))))
    return refuse(400, "bad_length", "send one Content-Length of digits, or chunks");
  if (!sized && !chunked) return true;  // RFC 9112, 6.3: then there is none
  const std::string large = fmt::format("the body may have at most {} bytes", most);
  if (sized && request.getContentLength64() > most) return refuse(413, "too_large", large);
  // POCO tells a broken chunk from the last one by nothing: what follows is no request for sure.
  if (chunked) response.setKeepAlive(false);
  const double until = Now() + kBodySeconds;
  for (size_t before = 0; ReadSome(body, until); before = body.size()) {
    if (std::ssize(body) > most) return refuse(413, "too_large", large);
    if (Reserve(body.size() - before)) continue;
    response.set("Retry-After", "5");
    return refuse(503, "busy", "the requests at work hold all the memory there is for them");
  }
  if (Now() > until)
    return refuse(408, "too_slow", fmt::format("the body took more than {} s", kBodySeconds));
  if (chunked && ClientLeft())  // POCO takes the connection's end for the last chunk
    return refuse(400, "bad_length", "the body ended before its last chunk");
  if (!sized || std::ssize(body) == request.getContentLength64()) return true;
  return refuse(
      400, "bad_length",
      fmt::format("the body has {} bytes and ended before its Content-Length", body.size()));
}

// Sixteen bytes and more hold a value that was sent in two.
Result<Json> Exchange::ParseBody(const std::string& text, const std::string& what) const {
  JsonLimits limits;
  limits.max_bytes = queue.options().max_body_bytes;
  limits.max_values = kMostValues;
  return ParseJson(text, what, limits);
}

bool Exchange::ReadJson(Json& json) {
  std::string body;
  if (!ReadBody(body)) return false;
  auto parsed = ParseBody(body);
  if (!parsed.ok()) {
    Fail(400, "bad_json", parsed.message());
    return false;
  }
  json = std::move(*parsed);
  return true;
}

bool Exchange::IsMultipart() const {
  return request.getContentType().starts_with("multipart/form-data");
}

std::string Exchange::Query(const std::string& name) const {
  const auto it = query.find(name);
  return it == query.end() ? "" : it->second;
}

int64_t Exchange::Number(const char* name, int64_t otherwise) const {
  const auto it = query.find(name);
  return it == query.end() ? otherwise : std::strtoll(it->second.c_str(), nullptr, 10);
}

int Exchange::PageLimit() const {
  return static_cast<int>(std::clamp<int64_t>(Number("limit", 50), 1, 200));
}

std::string Exchange::Base() const {
  return (request.secure() ? "https://" : "http://") + request.getHost();
}

bool Exchange::ReadParts(std::vector<Part>& parts) {
  std::string body;
  if (!ReadBody(body)) return false;
  try {
    std::string type, boundary;
    Poco::Net::NameValueCollection parameters;
    Poco::Net::MessageHeader::splitParameters(request.getContentType(), type, parameters);
    boundary = parameters.get("boundary", "");
    // POCO takes the end of the body for the end of its last part.
    if (!boundary.empty() && body.find("--" + boundary + "--") == std::string::npos) {
      Fail(400, "bad_multipart", "the body of multipart/form-data has no end");
      return false;
    }
    std::istringstream stream(body);
    Poco::Net::MultipartReader reader(stream, boundary);
    while (!boundary.empty() && reader.hasNextPart()) {
      if (std::ssize(parts) == kMostParts) {
        Fail(400, "bad_multipart", fmt::format("the form has more than {} parts", kMostParts));
        return false;
      }
      Poco::Net::MessageHeader header;
      reader.nextPart(header);
      std::string disposition;
      Poco::Net::NameValueCollection fields;
      Poco::Net::MessageHeader::splitParameters(header.get("Content-Disposition", ""), disposition,
                                                fields);
      std::ostringstream bytes;
      bytes << reader.stream().rdbuf();
      if (!fields.has("name") || fields.get("name").empty()) {
        Fail(400, "bad_multipart", "a part of the form has no name");
        return false;
      }
      parts.push_back({fields.get("name", ""), fields.get("filename", ""), bytes.str()});
    }
    if (!parts.empty()) return true;
  } catch (const std::exception& error) {
    Fail(400, "bad_multipart", std::string("the body is no multipart/form-data: ") + error.what());
    return false;
  }
  Fail(400, "bad_multipart", "the body holds no part of multipart/form-data");
  return false;
}

void Exchange::Send(int status, const Json& json) {
  response.setStatusAndReason(static_cast<Poco::Net::HTTPResponse::HTTPStatus>(status));
  SendBytes("application/json", json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// A body that stays unread would be taken for the connection's next request.
void Exchange::LeaveBody() {
  const bool chunked = request.getChunkedTransferEncoding();
  if (body_read_ || (!chunked && !request.has("Content-Length"))) return;
  body_read_ = true;
  const double until = Now() + kBodySeconds;
  const bool small = !chunked && IsLength(request.get("Content-Length")) &&
                     request.getContentLength64() <= kSmallBody;
  std::string rest;
  while (small && ReadSome(rest, until)) {
  }
  if (!small || std::ssize(rest) != request.getContentLength64()) response.setKeepAlive(false);
}

void Exchange::SendBytes(const std::string& type, const std::string& bytes) {
  LeaveBody();
  response.setContentType(type);
  place_.Give(kAnswerSeconds + static_cast<double>(bytes.size()) / kSlowestBytes);
  response.sendBuffer(bytes.data(), bytes.size());
  place_.Give(0);
}

void Exchange::Fail(int status, const std::string& code, const std::string& message,
                    const std::vector<FieldError>& fields) {
  if (error_json != nullptr) return Send(status, error_json(code, message));
  Json error = {{"code", code}, {"message", message}, {"request_id", id}};
  if (!fields.empty()) error["fields"] = Json::array();
  for (const FieldError& f : fields)
    error["fields"].push_back({{"field", f.field}, {"message", f.message}});
  Send(status, {{"error", error}});
}

void Exchange::FailStore(const Status& status) {
  if (status.code() != Code::kNoSpace) return Fail(500, "store", status.message());
  response.set("Retry-After", "30");
  Fail(507, "no_space", status.message());
}

bool Exchange::Submit(Draft& draft, StoredEdit& edit) {
  draft.owner = owner;
  draft.idempotency_key = request.get("Idempotency-Key", "");
  Status why;
  switch (queue.Submit(draft, edit, why)) {
    case Queue::Refusal::kNone:
      accepted = edit.id;
      if (queue.options().log_prompts) prompt = draft.fields.value("prompt", "");
      return true;
    case Queue::Refusal::kBusy:
      response.set("Retry-After", "5");
      Fail(429, "busy", why.message());
      return false;
    case Queue::Refusal::kConflict:
      Fail(conflict_status, "conflict", why.message());
      return false;
    case Queue::Refusal::kStore:
      FailStore(why);
      return false;
  }
  return false;
}

bool Exchange::Stay() {
  stays_.emplace(staying);
  if (stays_->number() <= kMostStaying) return true;
  response.set("Retry-After", "5");
  Fail(503, "busy", fmt::format("{} requests wait for their edits already", kMostStaying));
  return false;
}

std::ostream& Exchange::Stream() {
  response.setContentType("text/event-stream");
  response.set("Cache-Control", "no-store");
  response.setChunkedTransferEncoding(true);
  return response.send();
}

std::string PictureType(const std::string& bytes) {
  if (bytes.starts_with("\x89PNG")) return "image/png";
  return bytes.starts_with("RIFF") ? "image/webp" : "image/jpeg";
}

Result<std::string> PictureAs(Store& store, const StoredImage& image,
                              const std::string& extension) {
  KX_ASSIGN_OR_RETURN(std::string png, store.GetPicture(image.hash));
  if (extension == ".png") return png;
  KX_ASSIGN_OR_RETURN(LoadedPicture picture, DecodePictureBytes(png, "the result"));
  return EncodePictureBytes({std::move(picture.pixels), image.seed, picture.recipe, 0}, extension);
}

}  // namespace kontext::serve
