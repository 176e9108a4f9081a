// Resizing 8-bit pictures exactly as Pillow's Image.resize does.
#ifndef KONTEXT_IO_RESIZE_H_
#define KONTEXT_IO_RESIZE_H_

#include "base/status.h"
#include "io/picture.h"

namespace kontext {

// Pillow's LANCZOS, bit for bit (spec architecture 3.2): horizontal pass, rounded to 8 bit, then
// vertical; a pass is skipped when that side does not change. Width and height at least 1. Four
// channels are premultiplied by alpha meanwhile, as Pillow does. This is Pillow up to 12.1: later
// ones do the vertical pass first for some sizes (tools/golden/make_resize_vectors.py has the
// story).
Result<Pixels> ResizeLanczos(const Pixels& src, int width, int height);

// Nearest neighbour: source pixel floor((x + 0.5) * in / out).
Result<Pixels> ResizeNearest(const Pixels& src, int width, int height);

// The window [x, x+width) x [y, y+height); must lie inside.
Result<Pixels> Crop(const Pixels& src, int x, int y, int width, int height);

}  // namespace kontext

#endif  // KONTEXT_IO_RESIZE_H_
