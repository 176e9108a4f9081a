// Exchange: one HTTP request and its answer, with the limits every API shares.
#ifndef KONTEXT_SERVE_EXCHANGE_H_
#define KONTEXT_SERVE_EXCHANGE_H_

#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "serve/connections.h"
#include "serve/draft.h"
#include "serve/queue.h"
#include "serve/slot.h"

namespace kontext::serve {

struct Part {  // of a multipart body
  std::string name, file, bytes;
};

class Exchange {
 public:
  Exchange(Queue& queue, Poco::Net::HTTPServerRequest& request,
           Poco::Net::HTTPServerResponse& response, Connections::Place& place);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  Queue& queue;
  Poco::Net::HTTPServerRequest& request;
  Poco::Net::HTTPServerResponse& response;
  std::string id;                 // of the request
  std::string owner;              // hash of the key, or empty
  std::string method;             // HEAD is GET here: POCO leaves the body away
  std::vector<std::string> path;  // decoded segments
  bool sound_url = true;          // false: it cannot be decoded; `path` is as it came
  std::map<std::string, std::string> query;
  std::string Query(const std::string& name) const;           // or empty
  int64_t Number(const char* name, int64_t otherwise) const;  // of the query
  int PageLimit() const;                                      // "limit" of a list: 1 to 200
  // An error as the API that is spoken tells it; null: as the native one does.
  Json (*error_json)(const std::string& code, const std::string& message) = nullptr;

  // What was accepted, for the log; the prompt only if the operator wants it there.
  std::string accepted, prompt;

  // Of the same Idempotency-Key with another request. Clients of OpenAI's API send a 409 again.
  int conflict_status = 409;

  bool Is(const char* verb, const std::string& pattern);  // "v1/edits/*"
  // There is something at this path for another method: what is not answered is 405, not 404.
  void Allow(const char* verb) { allowed_.insert(verb); }
  void FailUnanswered();
  size_t Count(const std::string& header) const;
  // The body within its limit; false after a 413 or 408 was sent.
  bool ReadBody(std::string& body);
  Result<Json> ParseBody(const std::string& text, const std::string& what = "the body") const;
  bool ReadJson(Json& json);                 // false after a 400 was sent
  bool ReadParts(std::vector<Part>& parts);  // of multipart/form-data
  bool IsMultipart() const;
  std::string Base() const;  // how the client names this server: http://HOST

  void Send(int status, const Json& json);
  void SendBytes(const std::string& type, const std::string& bytes);
  void Fail(int status, const std::string& code, const std::string& message,
            const std::vector<FieldError>& fields = {});
  void FailStore(const Status& status);  // 507 if its disk is full
  // Submits; false after a refusal was sent.
  bool Submit(Draft& draft, StoredEdit& edit);
  // This request will hold its thread until an edit ends; false after a 503 was sent, for threads
  // must be left for those who ask, cancel and review.
  bool Stay();
  // A client that has ended its side waits for no answer.
  bool ClientLeft() const { return place_.Ended(); }
  // An open event stream.
  std::ostream& Stream();

 private:
  bool ReadSome(std::string& body, double until);
  bool Reserve(size_t bytes);
  void LeaveBody();
  Connections::Place& place_;
  bool body_read_ = false;
  int64_t reserved_ = 0;  // bytes of bodies that this one counts for
  std::set<std::string> allowed_;
  std::optional<Slot> stays_;
};

// One API: true if the path was its own and was answered.
using Api = bool (*)(Exchange&);
bool Native(Exchange& exchange);
bool OpenAi(Exchange& exchange);
bool IsOpenAiRoute(const Exchange& exchange);
Json OpenAiError(const std::string& code, const std::string& message);
bool ProjectApi(Exchange& exchange);
bool A1111(Exchange& exchange);
bool Bfl(Exchange& exchange);
bool ReviewApi(Exchange& exchange);  // for reviewers only
bool ComfyUi(Exchange& exchange);

// The native API's answer to a draft: 202 and the edit, or what is wrong with it. `errors` is what
// reading its fields found.
void Accept(Exchange& exchange, Draft& draft, std::vector<FieldError> errors);

// Of all that a draft asks for: the same Idempotency-Key with another one is a conflict.
std::string BodyHash(const Draft& draft);

// Of bytes that were read as a picture: "image/png".
std::string PictureType(const std::string& bytes);

// A stored picture as it is kept, ".png", or in another format with its recipe.
Result<std::string> PictureAs(Store& store, const StoredImage& image, const std::string& extension);

// The edit as clients of the native API see it.
Json EditJson(Queue& queue, const StoredEdit& edit);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_EXCHANGE_H_
