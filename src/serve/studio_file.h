// The studio's files, as browsers are given them.
#ifndef KONTEXT_SERVE_STUDIO_FILE_H_
#define KONTEXT_SERVE_STUDIO_FILE_H_

#include "serve/exchange.h"

namespace kontext::serve {

// True if the path is one of them and was answered: compressed for whom takes that, and not sent
// again to whom has it.
bool StudioFile(Exchange& exchange);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_STUDIO_FILE_H_
