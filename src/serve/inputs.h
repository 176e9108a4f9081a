// What an edit was made from, for those who judge it: the turn of its project first, then the
// pictures that came with the request, as they were sent.
#ifndef KONTEXT_SERVE_INPUTS_H_
#define KONTEXT_SERVE_INPUTS_H_

#include <string>

#include "serve/projects.h"
#include "serve/store.h"

namespace kontext::serve {

size_t CountInputs(const StoredEdit& edit);
Result<std::string> InputOf(const StoredEdit& edit, size_t index, Store& store, Projects& projects);

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_INPUTS_H_
