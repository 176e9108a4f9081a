// The program's version; CMakeLists.txt checks that its own is the same.
#ifndef KONTEXT_BASE_VERSION_H_
#define KONTEXT_BASE_VERSION_H_

namespace kontext {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace kontext

#endif  // KONTEXT_BASE_VERSION_H_
