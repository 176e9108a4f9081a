#include <algorithm>

#include "base/status.h"
#include "serve/a1111.h"

namespace kontext::serve {

const Json* A1111Fields::Find(const std::string& name) {
  known_.push_back(name);
  const auto it = body_.find(name);
  return it == body_.end() || it->is_null() ? nullptr : &*it;
}

void A1111Fields::Wrong(const std::string& name, const std::string& message,
                        const std::string& type) {
  detail_.push_back({{"loc", {"body", name}}, {"msg", message}, {"type", type}});
}

void A1111Fields::NotOffered(const std::string& name, const std::string& what) {
  Wrong(name, what, "value_error.not_offered");
}

std::string A1111Fields::Text(const std::string& name, size_t most) {
  const Json* value = Find(name);
  if (value == nullptr) return "";
  if (!value->is_string()) {
    Wrong(name, "str type expected", "type_error.str");
    return "";
  }
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() <= most) return text;
  Wrong(name, fmt::format("ensure this value has at most {} bytes", most),
        "value_error.any_str.max_length");
  return "";
}

int64_t A1111Fields::Integer(const std::string& name, int64_t low, int64_t high,
                             int64_t otherwise) {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  // JavaScript and Lua clients write 20.0; 2^53 bounds what a double can say exactly.
  constexpr double kExact = 9007199254740992.0;
  int64_t number = 0;
  if (value->is_number_float()) {
    const double real = value->get<double>();
    if (!(real >= -kExact && real <= kExact) ||
        real != static_cast<double>(static_cast<int64_t>(real))) {
      Wrong(name, "value is not a valid integer", "type_error.integer");
      return otherwise;
    }
    number = static_cast<int64_t>(real);
  } else if (value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX) {
    number = INT64_MAX;
  } else if (value->is_number_integer()) {
    number = value->get<int64_t>();
  } else {
    Wrong(name, "value is not a valid integer", "type_error.integer");
    return otherwise;
  }
  if (number >= low && number <= high) return number;
  Wrong(name, fmt::format("ensure this value is from {} to {}", low, high),
        "value_error.number.not_in_range");
  return otherwise;
}

double A1111Fields::Number(const std::string& name, double low, double high, double otherwise) {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_number()) {
    Wrong(name, "value is not a valid float", "type_error.float");
    return otherwise;
  }
  const double number = value->get<double>();
  if (number >= low && number <= high) return number;
  Wrong(name, fmt::format("ensure this value is from {} to {}", low, high),
        "value_error.number.not_in_range");
  return otherwise;
}

bool A1111Fields::Flag(const std::string& name, bool otherwise) {
  const Json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_number_integer()) {
    const Json one = 1, zero = 0;
    if (*value == one) return true;
    if (*value == zero) return false;
  }
  Wrong(name, "value could not be parsed to a boolean", "type_error.bool");
  return otherwise;
}

std::vector<std::string> A1111Fields::Texts(const std::string& name, size_t most_items) {
  const Json* value = Find(name);
  std::vector<std::string> texts;
  if (value == nullptr) return texts;
  bool sound = value->is_array() && value->size() <= most_items;
  for (size_t i = 0; sound && i < value->size(); ++i) {
    sound = (*value)[i].is_string();
    if (sound) texts.push_back((*value)[i].get<std::string>());
  }
  if (sound) return texts;
  Wrong(name, fmt::format("a list of at most {} strings expected", most_items), "type_error.list");
  return {};
}

std::vector<std::string> A1111Fields::Others() const {
  std::vector<std::string> others;
  for (const auto& [name, value] : body_.items()) {
    if (std::find(known_.begin(), known_.end(), name) == known_.end() && others.size() < 20)
      others.push_back(name.substr(0, 100));
  }
  return others;
}

}  // namespace kontext::serve
