// What the files that answer /v1/projects share.
#ifndef KONTEXT_SERVE_PROJECT_ROUTES_H_
#define KONTEXT_SERVE_PROJECT_ROUTES_H_

#include <cstdint>
#include <optional>

#include "serve/exchange.h"

namespace kontext::serve {

// Sends what went wrong; true if nothing did.
bool Sound(Exchange& x, const Status& status);

// A turn's number in the path; nothing after a 404 was sent.
std::optional<int64_t> TurnIn(Exchange& x, size_t at = 4);

Edited GreyPicture(const Mask& mask);

// As POST /v1/edits, from a turn of the project, or from words alone; the picture becomes a turn.
void EditFrom(Exchange& x, bool from_turn);

// Whatever made the turn, once more: with other seeds.
void EditAgain(Exchange& x);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_PROJECT_ROUTES_H_
