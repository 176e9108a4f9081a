// From a body that may hold anything to a Draft, with every mistake named by its field.
#ifndef KONTEXT_SERVE_DRAFT_H_
#define KONTEXT_SERVE_DRAFT_H_

#include <string>
#include <vector>

#include "serve/queue.h"

namespace kontext::serve {

inline constexpr int kMostPictures = 16;  // of one edit over the network

struct FieldError {
  std::string field, message;
  // Both, once: what a decoder says begins with the name it was given.
  std::string Told() const {
    return message.starts_with(field + ":") ? message : field + ": " + message;
  }
};

// The native API's fields -> draft.fields (and draft.pictures, from "images" and "mask" in base64).
// Everything a field can be wrong by is told at once; an empty list means it is sound. URLs are
// fetched only if all else is.
std::vector<FieldError> ReadFields(const Json& body, const EditLimits& limits,
                                   const ServeOptions& options, Draft& draft);

// Opens every picture, so that a broken one is refused before the edit is accepted.
std::vector<FieldError> CheckPictures(const Draft& draft, const EditLimits& limits);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_DRAFT_H_
