#include "serve/exchange.h"

#include <Poco/Net/MessageHeader.h>
#include <Poco/Net/MultipartReader.h>
#include <Poco/Net/NameValueCollection.h>
#include <Poco/URI.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/status.h"

namespace kontext::serve {
namespace {
constexpr double kBodySeconds = 60;  // a client that takes longer to send is let go
constexpr int kMostParts = 64;
}  // namespace

Exchange::Exchange(Queue& q, Poco::Net::HTTPServerRequest& in, Poco::Net::HTTPServerResponse& out)
    : queue(q), request(in), response(out), method(in.getMethod()) {
  id = RandomHex(16);
  const Poco::URI uri(request.getURI());
  uri.getPathSegments(path);
  for (const auto& [name, value] : uri.getQueryParameters()) query[name] = value;
  response.set("X-Request-Id", id);
  response.set("X-Content-Type-Options", "nosniff");
}

bool Exchange::Is(const char* verb, const std::string& pattern) const {
  if (method != verb) return false;
  std::istringstream parts(pattern);
  std::string part;
  size_t at = 0;
  while (std::getline(parts, part, '/')) {
    if (at == path.size() || (part != "*" && part != path[at])) return false;
    ++at;
  }
  return at == path.size();
}

bool Exchange::ReadBody(std::string& body) {
  body_read_ = true;
  // RFC 9112, 6.3: then there is none; POCO would wait for the end of the connection.
  if (!request.hasContentLength() && !request.getChunkedTransferEncoding()) return true;
  const int64_t most = queue.options().max_body_bytes;
  const auto too_large = [&] {
    response.setKeepAlive(false);
    Fail(413, "too_large", fmt::format("the body may have at most {} bytes", most));
    return false;
  };
  if (request.getContentLength64() > most) return too_large();
  std::istream& stream = request.stream();
  std::string chunk(size_t{1} << 16, '\0');
  const double end = Now() + kBodySeconds;
  while (stream.good()) {
    stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    body.append(chunk, 0, static_cast<size_t>(stream.gcount()));
    if (std::ssize(body) > most) return too_large();
    if (Now() < end) continue;
    response.setKeepAlive(false);
    Fail(408, "too_slow", fmt::format("the body took more than {} s", kBodySeconds));
    return false;
  }
  if (!request.hasContentLength() || std::ssize(body) == request.getContentLength64()) return true;
  response.setKeepAlive(false);
  Fail(400, "bad_length",
       fmt::format("the body has {} bytes and ended before its Content-Length", body.size()));
  return false;
}

bool Exchange::ReadJson(Json& json) {
  std::string body;
  if (!ReadBody(body)) return false;
  auto parsed = ParseJson(body, "the body");
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
    while (!boundary.empty() && std::ssize(parts) < kMostParts && reader.hasNextPart()) {
      Poco::Net::MessageHeader header;
      reader.nextPart(header);
      std::string disposition;
      Poco::Net::NameValueCollection fields;
      Poco::Net::MessageHeader::splitParameters(header.get("Content-Disposition", ""), disposition,
                                                fields);
      std::ostringstream bytes;
      bytes << reader.stream().rdbuf();
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
  if (body_read_ || (!chunked && request.getContentLength64() <= 0)) return;
  body_read_ = true;
  if (!chunked && request.getContentLength64() <= queue.options().max_body_bytes) {
    request.stream().ignore(queue.options().max_body_bytes);
  } else {
    response.setKeepAlive(false);
  }
}

void Exchange::SendBytes(const std::string& type, const std::string& bytes) {
  LeaveBody();
  response.setContentType(type);
  response.sendBuffer(bytes.data(), bytes.size());
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

bool Exchange::Submit(Draft& draft, StoredEdit& edit) {
  draft.owner = owner;
  draft.idempotency_key = request.get("Idempotency-Key", "");
  std::string message;
  switch (queue.Submit(draft, edit, message)) {
    case Queue::Refusal::kNone:
      return true;
    case Queue::Refusal::kBusy:
      response.set("Retry-After", "5");
      Fail(429, "busy", message);
      return false;
    case Queue::Refusal::kConflict:
      Fail(conflict_status, "conflict", message);
      return false;
    case Queue::Refusal::kBad:
      Fail(500, "store", message);
      return false;
  }
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
