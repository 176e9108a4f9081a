// The operator's own check of what comes in and what goes out, as FLUX.1 [dev]'s licence asks for.
#ifndef KONTEXT_SERVE_FILTER_H_
#define KONTEXT_SERVE_FILTER_H_

#include <functional>
#include <string>
#include <vector>

#include "serve/outbound.h"
#include "serve/store.h"

namespace kontext::serve {

// One line of JSON: {"stage", "id", "prompt", "picture", "inputs"}, pictures in base64. Before an
// edit there is no picture, and the inputs are what it is made from; after it they are left out.
std::string FilterInput(const StoredEdit& edit, const char* stage, const std::string& png,
                        const std::vector<std::string>& inputs);

// A filter is a program, which gets `input` on its stdin and answers by its exit code, 0 or 1; or a
// URL, to which `input` is posted and which answers 200 or 204, or 403. The first lets pass, the
// second refuses, which makes the edit moderated with what the program wrote or the body says.
// Anything else, or no answer within 60 s, is an error, and nothing passes. An empty filter lets
// everything pass. `stopped` is asked several times a second; when it says true the program and its
// children are killed, or the connection closed: Code::kCancelled.
Status RunFilter(const std::string& filter, const std::string& input,
                 const std::function<bool()>& stopped, StoredEdit& edit);

bool IsFilterUrl(const std::string& filter);
// The operator named it, so any address will do.
Result<Target> FilterTarget(const std::string& url);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_FILTER_H_
