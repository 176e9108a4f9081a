// The operator's own check of what comes in and what goes out, as FLUX.1 [dev]'s licence asks for.
#ifndef KONTEXT_SERVE_FILTER_H_
#define KONTEXT_SERVE_FILTER_H_

#include <functional>
#include <string>

#include "serve/store.h"

namespace kontext::serve {

// {"stage", "id", "prompt", "picture": base64 of a PNG or ""}: one line of JSON.
std::string FilterInput(const StoredEdit& edit, const char* stage, const std::string& png);

// Gives `input` to the program on its stdin, then closes it. Exit code 0 lets pass; 1 refuses,
// which makes the edit moderated with what the program wrote; anything else, or no answer within 60
// s, is an error, and nothing passes. An empty program lets everything pass. `stopped` is asked
// several times a second; when it says true the program and its children are killed:
// Code::kCancelled.
Status RunFilter(const std::string& program, const std::string& input,
                 const std::function<bool()>& stopped, StoredEdit& edit);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_FILTER_H_
