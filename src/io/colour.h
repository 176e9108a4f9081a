// From whatever a picture file holds to 8-bit sRGB.
#ifndef KONTEXT_IO_COLOUR_H_
#define KONTEXT_IO_COLOUR_H_

#include "base/status.h"
#include "io/picture_codecs.h"

namespace kontext {

// RGB, with alpha if `raw` has it. An ICC profile, or PNG's gAMA and cHRM, is applied through
// Little CMS (perceptual intent) unless it stands for sRGB within one step of 255; one that is
// unusable is left out, with a note. Otherwise: 16 bit v becomes round(v / 257), grey is repeated,
// and CMYK becomes round((255 - c)(255 - k) / 255), as Pillow has it. Everything done is noted in
// `raw.notes`.
Result<Pixels> ToSrgb8(RawPicture& raw);

}  // namespace kontext

#endif  // KONTEXT_IO_COLOUR_H_
