// Where finished pictures go, and what happens when they cannot.
#ifndef KONTEXT_APPS_CLI_OUTPUTS_H_
#define KONTEXT_APPS_CLI_OUTPUTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kontext/kontext.h"

namespace kontext::cli {

// The path of picture `seed`. With -o: that path, and for several pictures the seed before the
// extension (out.png -> out-42.png). Without: beside the first input and named after it and the
// seed (cat.png -> cat-42.png), or kontext-42.png; then never a file that exists (cat-42-2.png).
std::string OutputPath(const std::string& named, const std::string& first_input, uint64_t seed,
                       int count);

// Tells before the work that the output cannot be written: no such folder, not writable, bad
// extension.
Status CheckWritable(const std::string& path);

// Saves, and if that fails keeps the picture: asks for another place on a terminal; otherwise tries
// the current folder and the temporary folder. Returns the path it is at.
Result<std::string> SaveSomewhere(const std::string& path, const Edited& edited);

}  // namespace kontext::cli

#endif  // KONTEXT_APPS_CLI_OUTPUTS_H_
