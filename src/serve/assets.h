// The studio's files, inside the program. Their table is made by cmake/embed.cmake.
#ifndef KONTEXT_SERVE_ASSETS_H_
#define KONTEXT_SERVE_ASSETS_H_

#include <string>
#include <vector>

namespace kontext::serve {

struct Asset {
  std::string path;  // "index.html"; also answers "/"
  std::string type;  // "text/html; charset=utf-8"
  std::string bytes;
};
const std::vector<Asset>& Assets();

}  // namespace kontext::serve

#endif  // KONTEXT_SERVE_ASSETS_H_
