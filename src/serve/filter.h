// The operator's own check of what comes in and what goes out, as FLUX.1 [dev]'s licence asks for.
#ifndef KONTEXT_SERVE_FILTER_H_
#define KONTEXT_SERVE_FILTER_H_

#include <string>

#include "serve/store.h"

namespace kontext::serve {

// {"stage", "id", "prompt", "picture": base64 of a PNG or ""}: one line of JSON.
std::string FilterInput(const StoredEdit& edit, const char* stage, const std::string& png);

// Gives `input` to the program on its stdin. Exit code 0 lets pass; 1 refuses, which makes the edit
// moderated with what the program wrote; anything else is an error, and nothing passes. An empty
// program lets everything pass.
Status RunFilter(const std::string& program, const std::string& input, StoredEdit& edit);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_FILTER_H_
