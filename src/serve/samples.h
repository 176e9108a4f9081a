// URLs of pictures that are good for a while without a key: BFL's `sample`, OpenAI's `url`.
#ifndef KONTEXT_SERVE_SAMPLES_H_
#define KONTEXT_SERVE_SAMPLES_H_

#include <string>

#include "serve/exchange.h"

namespace kontext::serve {

// Picture `index` of an edit as `format` (png, jpeg or webp), at a server that the client calls
// `base`.
std::string SampleUrl(const Queue& queue, const std::string& base, const std::string& edit,
                      int index, const std::string& format, int64_t seconds);

// Answers such a URL; false if the path is another.
bool Samples(Exchange& exchange);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_SAMPLES_H_
