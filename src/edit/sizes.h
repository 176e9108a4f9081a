// Which size a reference is brought to, and which size comes out (spec architecture 3, likes.md).
#ifndef KONTEXT_EDIT_SIZES_H_
#define KONTEXT_EDIT_SIZES_H_

#include <cstdint>
#include <vector>

#include "kontext/request.h"

namespace kontext {

// The preferred size of nearest aspect: least |w/h - W/H|, ties to the smaller w, then h (BFL
// cli_kontext.py; a difference of ratios, so not symmetric under turning the picture).
Size NearestPreferred(Size picture, const std::vector<Size>& preferred);

// The preferred size nearest to a square: the model's "1024 x 1024".
Size SquareOf(const std::vector<Size>& preferred);

// About `area` pixels at the aspect of `picture`, sides rounded to multiples of `multiple`, at
// least one.
Size ScaledToArea(Size picture, int64_t area, int multiple);

// Diffusers' output: sqrt(area * aspect) and sqrt(area / aspect), rounded half to even, floored
// to 16.
Size DiffusersSize(Size asked, int64_t area, int multiple);

Size FlooredTo(Size size, int multiple);
Size RaisedTo(Size size, int multiple);

}  // namespace kontext

#endif  // KONTEXT_EDIT_SIZES_H_
