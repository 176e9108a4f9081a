// A list in a message.
#ifndef KONTEXT_BASE_LISTED_H_
#define KONTEXT_BASE_LISTED_H_

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kontext {

// The first `most` items as `show` gives them, and how many more there are: "a, b and 3 more", and
// with the separator of whole statements "a is b; c is d; and 3 more".
template <class Show = std::identity>
std::string Listed(const std::vector<std::string>& items, size_t most,
                   std::string_view separator = ", ", const Show& show = {}) {
  std::string list;
  for (size_t i = 0; i < std::min(items.size(), most); ++i) {
    if (i > 0) list += separator;
    list += show(items[i]);
  }
  if (items.size() > most) {
    list += fmt::format("{}and {} more", separator == ", " ? " " : separator, items.size() - most);
  }
  return list;
}

}  // namespace kontext

#endif  // KONTEXT_BASE_LISTED_H_
