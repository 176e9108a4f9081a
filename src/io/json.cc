#include "io/json.h"

#include <new>
#include <unordered_set>
#include <utility>
#include <vector>

#include "io/mapped_file.h"

namespace kontext {
namespace {

// First pass over the text: finds everything that makes it unfit without building anything, so that
// a hostile file costs no memory beyond the keys of the objects that are open.
class Checker : public nlohmann::json_sax<Json> {
 public:
  explicit Checker(const JsonLimits& limits) : limits_(limits) {}
  const std::string& problem() const { return problem_; }

  bool null() override { return CountValue(); }
  bool boolean(bool) override { return CountValue(); }
  bool number_integer(number_integer_t) override { return CountValue(); }
  bool number_unsigned(number_unsigned_t) override { return CountValue(); }
  bool number_float(number_float_t, const string_t&) override { return CountValue(); }
  bool string(string_t&) override { return CountValue(); }
  bool binary(binary_t&) override { return CountValue(); }
  bool start_object(std::size_t) override { return Open(); }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (open_.back().insert(name).second) return true;
    problem_ = fmt::format("the key {} stands twice in one object", Quoted(name));
    return false;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    // The library's text starts with "[json.exception.parse_error.101] "; the rest is for people.
    // It quotes the last token, which may hold anything: only its printable ASCII is passed on.
    std::string reason = error.what();
    if (const size_t end = reason.find("] "); end != std::string::npos) reason.erase(0, end + 2);
    if (reason.size() > 200) reason.resize(200);
    for (char& c : reason) c = c >= ' ' && c <= '~' ? c : '?';
    problem_ = fmt::format("byte {} is no JSON: {}", position, reason);
    return false;
  }

 private:
  bool CountValue() {
    if (++values_ <= limits_.max_values) return true;
    problem_ = fmt::format("it holds more than {} values", limits_.max_values);
    return false;
  }
  bool Open() {
    open_.emplace_back();
    if (static_cast<int64_t>(open_.size()) <= limits_.max_depth) return CountValue();
    problem_ = fmt::format("it is nested more than {} levels deep", limits_.max_depth);
    return false;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }

  JsonLimits limits_;
  int64_t values_ = 0;
  std::vector<std::unordered_set<std::string>>
      open_;  // keys seen, one set per open object or array
  std::string problem_;
};

// The field, or why there is none.
Result<const Json*> Field(const Json& object, const std::string& field, const std::string& what) {
  if (!object.is_object()) {
    return BadInput("{}: expected an object with the field {}, got {}", what, Quoted(field),
                    object.type_name());
  }
  const auto it = object.find(field);
  if (it == object.end()) return BadInput("{}: the field {} is missing", what, Quoted(field));
  return &*it;
}

// A value for messages: short and printable.
std::string Shown(const Json& value) {
  if (value.is_string()) return Quoted(value.get_ref<const std::string&>());
  if (value.is_structured()) return value.type_name();
  return value.dump();
}

}  // namespace

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 200;
  const std::string cut(text.substr(0, kShown));
  std::string quoted = Json(cut).dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kShown) quoted += fmt::format("... ({} bytes)", text.size());
  return quoted;
}

Result<Json> ParseJson(std::string_view text, const std::string& what, const JsonLimits& limits) {
  const auto bytes = static_cast<int64_t>(text.size());
  if (bytes > limits.max_bytes) {
    return BadInput("{}: {} bytes of JSON, the limit is {}", what, bytes, limits.max_bytes);
  }
  try {
    Checker checker(limits);
    if (!Json::sax_parse(text, &checker)) return BadInput("{}: {}", what, checker.problem());
    return Json::parse(text);
  } catch (const std::bad_alloc&) {
    return NoSpace("{}: not enough memory for {} bytes of JSON", what, bytes);
  } catch (const std::exception& error) {
    return Internal("{}: the JSON library failed: {}", what, error.what());
  }
}

Result<Json> ReadJsonFile(const std::string& path, const JsonLimits& limits) {
  KX_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, limits.max_bytes));
  return ParseJson(text, path, limits);
}

Result<int64_t> JsonInt(const Json& object, const std::string& field, int64_t lo, int64_t hi,
                        const std::string& what) {
  KX_ASSIGN_OR_RETURN(const Json* value, Field(object, field, what));
  // Above 2^63 - 1 get<int64_t>() would wrap round; no caller has a use for such a number.
  const bool fits = value->is_number_integer() &&
                    !(value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX);
  if (!fits || value->get<int64_t>() < lo || value->get<int64_t>() > hi) {
    return BadInput("{}: the field {} is {}, expected an integer from {} to {}", what,
                    Quoted(field), Shown(*value), lo, hi);
  }
  return value->get<int64_t>();
}

Result<double> JsonNumber(const Json& object, const std::string& field, double lo, double hi,
                          const std::string& what) {
  KX_ASSIGN_OR_RETURN(const Json* value, Field(object, field, what));
  // NaN and infinity have no spelling in JSON, so the comparison below is enough.
  if (!value->is_number() || value->get<double>() < lo || value->get<double>() > hi) {
    return BadInput("{}: the field {} is {}, expected a number from {} to {}", what, Quoted(field),
                    Shown(*value), lo, hi);
  }
  return value->get<double>();
}

}  // namespace kontext
