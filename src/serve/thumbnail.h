#ifndef KONTEXT_SERVE_THUMBNAIL_H_
#define KONTEXT_SERVE_THUMBNAIL_H_

#include "kontext/request.h"

namespace kontext::serve {

// The picture with its longer side at most `side` pixels: means over boxes, without alpha. For a
// list of turns, not for editing.
Pixels Thumbnail(const Pixels& picture, int side);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_THUMBNAIL_H_
