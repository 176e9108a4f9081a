// Exchange: one HTTP request and its answer, with the limits every API shares.
#ifndef KONTEXT_SERVE_EXCHANGE_H_
#define KONTEXT_SERVE_EXCHANGE_H_

#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>

#include <map>
#include <string>
#include <vector>

#include "serve/draft.h"
#include "serve/queue.h"

namespace kontext::serve {

struct Part {  // of a multipart body
  std::string name, file, bytes;
};

class Exchange {
 public:
  Exchange(Queue& queue, Poco::Net::HTTPServerRequest& request,
           Poco::Net::HTTPServerResponse& response);

  Queue& queue;
  Poco::Net::HTTPServerRequest& request;
  Poco::Net::HTTPServerResponse& response;
  std::string id;     // of the request
  std::string owner;  // hash of the key, or empty
  std::string method;
  std::vector<std::string> path;  // decoded segments
  std::map<std::string, std::string> query;

  bool Is(const char* verb, const std::string& pattern) const;  // "v1/edits/*"
  // The body within its limit; false after a 413 or 408 was sent.
  bool ReadBody(std::string& body);
  bool ReadJson(Json& json);                 // false after a 400 was sent
  bool ReadParts(std::vector<Part>& parts);  // of multipart/form-data
  bool IsMultipart() const;

  void Send(int status, const Json& json);
  void SendBytes(const std::string& type, const std::string& bytes);
  void Fail(int status, const std::string& code, const std::string& message,
            const std::vector<FieldError>& fields = {});
  // Submits; false after a refusal was sent in the native shape.
  bool Submit(Draft& draft, StoredEdit& edit);
  // An open event stream.
  std::ostream& Stream();
};

// One API: true if the path was its own and was answered.
using Api = bool (*)(Exchange&);
bool Native(Exchange& exchange);
bool OpenAi(Exchange& exchange);
bool ProjectApi(Exchange& exchange);

// The native API's answer to a draft: 202 and the edit, or what is wrong with it. `errors` is what
// reading its fields found.
void Accept(Exchange& exchange, Draft& draft, std::vector<FieldError> errors);

// The edit as clients of the native API see it.
Json EditJson(Queue& queue, const StoredEdit& edit);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_EXCHANGE_H_
