#include "edit/prompt_weights.h"

#include <charconv>
#include <cmath>

namespace kontext {
namespace {

constexpr float kPerParenthesis = 1.1f;
constexpr int kMaxDepth = 64;  // deeper ones are text: a hostile prompt must not exhaust the stack

// The index of the parenthesis that closes the one at `open`, or npos; escaped ones do not count.
size_t Closing(std::string_view s, size_t open) {
  int depth = 0;
  for (size_t i = open; i < s.size(); ++i) {
    if (s[i] == '\\') {
      ++i;
    } else if (s[i] == '(') {
      ++depth;
    } else if (s[i] == ')' && --depth == 0) {
      return i;
    }
  }
  return std::string_view::npos;
}

// Takes ":1.2" off the end of `inner`; false (and nothing taken) if there is none.
bool TakeWeight(std::string_view& inner, float& weight) {
  const size_t colon = inner.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  std::string_view number = inner.substr(colon + 1);
  while (!number.empty() && number.front() == ' ') number.remove_prefix(1);
  float value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  if (error != std::errc() || end != number.data() + number.size() || !std::isfinite(value))
    return false;
  weight = value;
  inner = inner.substr(0, colon);
  return true;
}

void Append(std::vector<WeightedText>& out, char c, float weight) {
  if (out.empty() || out.back().weight != weight) out.push_back({"", weight});
  out.back().text += c;
}

void Parse(std::string_view s, float weight, int depth, std::vector<WeightedText>& out) {
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\\' && i + 1 < s.size() && (s[i + 1] == '(' || s[i + 1] == ')')) {
      Append(out, s[++i], weight);
      continue;
    }
    const size_t close = s[i] == '(' && depth < kMaxDepth ? Closing(s, i) : std::string_view::npos;
    if (close == std::string_view::npos) {
      Append(out, s[i], weight);
      continue;
    }
    std::string_view inner = s.substr(i + 1, close - i - 1);
    float inner_weight = weight * kPerParenthesis;
    TakeWeight(inner, inner_weight);
    Parse(inner, inner_weight, depth + 1, out);
    i = close;
  }
}

}  // namespace

std::vector<WeightedText> ParsePromptWeights(std::string_view prompt) {
  std::vector<WeightedText> out;
  Parse(prompt, 1.0f, 0, out);
  return out;
}

}  // namespace kontext
