// JSON from files that may be hostile: size, depth and syntax are checked before anything is used.
#ifndef KONTEXT_IO_JSON_H_
#define KONTEXT_IO_JSON_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kontext {

using Json = nlohmann::json;

struct JsonLimits {
  int64_t max_bytes = 100'000'000;  // the safetensors header limit
  int max_depth = 64;
  int64_t max_values = 1 << 24;  // bounds memory: a value of two bytes of text takes 16 or more
};

// `what` names the text in messages ("config.json of the transformer"). Strings that are not UTF-8
// and keys that stand twice in one object are errors.
Result<Json> ParseJson(std::string_view text, const std::string& what,
                       const JsonLimits& limits = {});
Result<Json> ReadJsonFile(const std::string& path, const JsonLimits& limits = {});

// Fields with the right type and inside [lo, hi], or kBadInput saying which field is wrong and how.
Result<int64_t> JsonInt(const Json& object, const std::string& field, int64_t lo, int64_t hi,
                        const std::string& what);
Result<double> JsonNumber(const Json& object, const std::string& field, double lo, double hi,
                          const std::string& what);

// Text from a file, safe to print: JSON's quotes and escapes, ASCII only, cut after 200 bytes.
std::string Quoted(std::string_view text);

}  // namespace kontext

#endif  // KONTEXT_IO_JSON_H_
