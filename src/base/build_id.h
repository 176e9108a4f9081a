// Which build of the program this is.
#ifndef KONTEXT_BASE_BUILD_ID_H_
#define KONTEXT_BASE_BUILD_ID_H_

#include <string>

namespace kontext {

// The linker's build id (the ELF note NT_GNU_BUILD_ID) of the file this code was loaded from, in
// hexadecimal; the program's version where the file carries none. Two builds of the same code by
// the same compiler have the same.
std::string BuildId();

}  // namespace kontext

#endif  // KONTEXT_BASE_BUILD_ID_H_
