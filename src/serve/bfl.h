// What the parts of BFL's API share; docs/serve.md.
#ifndef KONTEXT_SERVE_BFL_H_
#define KONTEXT_SERVE_BFL_H_

#include <string>

#include "serve/exchange.h"

namespace kontext::serve {

bool IsBflRoute(const Exchange& exchange);
// An error as their API tells it.
Json BflError(const std::string& code, const std::string& message);

// BFL's body -> the native fields, pictures and webhook of `draft`; what is wrong with it.
// draft.fields["bfl"] keeps what only BFL's answers need.
std::vector<FieldError> ReadBflFields(const Exchange& exchange, const Json& body, Draft& draft);

// The status words and the result of their API, with a sample URL that is good for 10 minutes from
// now. `base` is how the client names this server.
Json BflResult(Queue& queue, const StoredEdit& edit, const std::string& base);

// Answers a polling URL that this server gave to a client with a key, asked without one; false if
// it is none.
bool BflGivenPoll(Exchange& exchange);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_BFL_H_
