// ComfyUI's validate_prompt (execution.py): the same errors by the same names, without recursion.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/status.h"
#include "serve/comfy.h"

namespace kontext::serve {
namespace {

constexpr size_t kMostNodes = 20000;
constexpr double kMostExact = 9007199254740992.0;  // 2^53; above it doubles skip integers
constexpr size_t kShown = 100;  // bytes of a name or value that a message repeats

std::string Cut(const std::string& text) { return text.substr(0, kShown); }

std::string Shown(const Json& value) {
  return Cut(value.dump(-1, ' ', true, Json::error_handler_t::replace));
}

// [node id, output], as ComfyUI's is_link has it.
std::optional<ComfyLink> AsLink(const Json& value) {
  if (!value.is_array() || value.size() != 2 || !value[0].is_string()) return std::nullopt;
  if (!value[1].is_number_integer() || value[1] < 0 || value[1] > 1000) return std::nullopt;
  return ComfyLink{value[0].get<std::string>(), value[1].get<size_t>()};
}

bool IsPrimitive(const std::string& name) { return name.starts_with("Primitive"); }

Json Mistake(const std::string& type, const std::string& message, const std::string& details,
             Json extra = Json::object()) {
  return {{"type", type}, {"message", message}, {"details", details}, {"extra_info", extra}};
}

}  // namespace

std::string ComfyGraph::ClassOf(const std::string& id) const {
  return nodes_[id]["class_type"].get<std::string>();
}

bool ComfyGraph::Has(const std::string& id, const char* input) const {
  return Value(id, input) != nullptr;
}

const Json* ComfyGraph::Value(const std::string& id, const std::string& input) const {
  const Json& node = nodes_[id];
  const auto inputs = node.find("inputs");
  if (inputs == node.end() || !inputs->is_object()) return nullptr;
  const auto value = inputs->find(input);
  if (value == inputs->end() || value->is_null()) return nullptr;
  const auto link = AsLink(*value);
  if (!link || !nodes_.contains(link->node) || !IsPrimitive(ClassOf(link->node))) return &*value;
  const auto held = nodes_[link->node].find("inputs");
  if (held == nodes_[link->node].end() || !held->is_object()) return nullptr;
  const auto primitive = held->find("value");  // checked to be no link itself
  return primitive == held->end() ? nullptr : &*primitive;
}

ComfyLink ComfyGraph::Link(const std::string& id, const char* input) const {
  return *AsLink(nodes_[id]["inputs"][input]);
}

std::string ComfyGraph::Text(const std::string& id, const char* input) const {
  const Json& value = *Value(id, input);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

double ComfyGraph::Number(const std::string& id, const char* input) const {
  const Json& value = *Value(id, input);
  return value.is_number() ? value.get<double>() : std::strtod(Text(id, input).c_str(), nullptr);
}

uint64_t ComfyGraph::Integer(const std::string& id, const char* input) const {
  const Json& value = *Value(id, input);
  if (value.is_number_integer()) return value.get<uint64_t>();
  if (value.is_number()) return static_cast<uint64_t>(std::min(value.get<double>(), kMostExact));
  const std::string text = Text(id, input);
  if (text.find_first_not_of("0123456789") == std::string::npos)
    return std::strtoull(text.c_str(), nullptr, 10);
  return static_cast<uint64_t>(std::min(std::strtod(text.c_str(), nullptr), kMostExact));
}

bool ComfyGraph::Flag(const std::string& id, const char* input) const {
  const Json& value = *Value(id, input);
  return value.is_boolean() ? value.get<bool>() : value != 0;
}

void ComfyGraph::Wrong(const std::string& id, const std::string& input, const std::string& type,
                       const std::string& message, const std::string& details) {
  if (error_.is_null())
    error_ = Mistake("prompt_outputs_failed_validation", "Prompt outputs failed validation", "");
  if (node_errors_.size() > 100) return;
  Json& node = node_errors_[id];
  if (node.is_null())
    node = {{"errors", Json::array()},
            {"class_type", nodes_[id]["class_type"]},
            {"dependent_outputs", outputs_}};
  node["errors"].push_back(Mistake(type, message, details, {{"input_name", input}}));
}

bool ComfyGraph::CheckClasses() {
  if (nodes_.size() > kMostNodes) {
    error_ = Mistake("invalid_prompt", fmt::format("A prompt of {} nodes", nodes_.size()),
                     fmt::format("at most {}", kMostNodes));
    return false;
  }
  for (const auto& [id, node] : nodes_.items()) {
    const Json name = node.is_object() ? node.value("class_type", Json()) : Json();
    if (!name.is_string()) {
      error_ = Mistake("invalid_prompt",
                       "Cannot execute because a node is missing the class_type property.",
                       "Node ID '#" + Cut(id) + "'");
      return false;
    }
    if (ComfyNodes().contains(name.get_ref<const std::string&>())) continue;
    const std::string shown = Cut(name.get<std::string>());
    const Json what =
        Mistake("missing_node_type", "Cannot execute because node " + shown + " does not exist.",
                "Node ID '#" + Cut(id) + "'; this server has the nodes of /object_info",
                {{"node_id", Cut(id)}, {"class_type", shown}});
    if (error_.is_null()) error_ = what;
    if (node_errors_.size() < 100)
      node_errors_[Cut(id)] = {{"errors", Json::array({what})},
                               {"class_type", shown},
                               {"dependent_outputs", Json::array()}};
  }
  return sound();
}

bool ComfyGraph::Check(const std::set<std::string>& targets) {
  if (!CheckClasses()) return false;
  for (const auto& [id, node] : nodes_.items()) {
    const bool wanted = targets.empty() || targets.contains(id);
    if (wanted && ComfyNodes()[ClassOf(id)].value("output_node", false)) outputs_.push_back(id);
  }
  if (outputs_.empty()) {
    error_ = Mistake("prompt_no_outputs", "Prompt has no outputs", "");
    return false;
  }
  for (const std::string& id : std::vector<std::string>(outputs_)) Walk(id);
  return sound();
}

// Depth first with its own stack: graphs may be thousands of nodes deep.
void ComfyGraph::Walk(const std::string& from) {
  std::vector<std::pair<std::string, bool>> stack = {{from, false}};  // node, its inputs are done
  while (!stack.empty()) {
    const auto [id, done] = stack.back();
    stack.pop_back();
    if (done) {
      seen_[id] = 2;
      order_.push_back(id);
      continue;
    }
    if (seen_[id] == 2) continue;
    if (seen_[id] == 1) {
      Wrong(id, "", "dependency_cycle", "Dependency cycle detected", "node " + Cut(id));
      continue;
    }
    seen_[id] = 1;
    CheckNode(id);
    stack.emplace_back(id, true);
    const auto inputs = nodes_[id].find("inputs");
    if (inputs == nodes_[id].end() || !inputs->is_object()) continue;
    for (const auto& [name, value] : inputs->items()) {
      const auto link = AsLink(value);
      if (link && nodes_.contains(link->node) && seen_[link->node] != 2)
        stack.emplace_back(link->node, false);
    }
  }
}

void ComfyGraph::CheckNode(const std::string& id) {
  const Json& node = ComfyNodes()[ClassOf(id)];
  for (const auto& [name, type] : node["in"].items()) CheckInput(id, name, type, true);
  const Json optional = node.value("optional", Json::object());
  for (const auto& [name, type] : optional.items()) CheckInput(id, name, type, false);
}

void ComfyGraph::CheckInput(const std::string& id, const std::string& input, const Json& type,
                            bool needed) {
  static const Json kNone = Json::object();
  const auto inputs = nodes_[id].find("inputs");
  const Json& given = inputs != nodes_[id].end() && inputs->is_object() ? *inputs : kNone;
  const auto value = given.find(input);
  if (value == given.end() || value->is_null()) {
    if (needed) Wrong(id, input, "required_input_missing", "Required input is missing", input);
    return;
  }
  const auto link = AsLink(*value);
  if (!link && type.is_string())
    return Wrong(id, input, "bad_linked_input",
                 "Bad linked input, must be a length-2 list of [node_id, slot_index]", input);
  if (!link) return CheckValue(id, input, type, *value);
  const auto other = nodes_.find(link->node);
  const Json out = other == nodes_.end() ? Json() : ComfyNodes()[ClassOf(link->node)]["out"];
  if (other == nodes_.end() || link->slot >= out.size())
    return Wrong(
        id, input, "bad_linked_input", "Bad linked input",
        fmt::format("{}: there is no output {} of a node {}", input, link->slot, Cut(link->node)));
  const std::string from = out[link->slot].get<std::string>();
  std::string to = type.is_string() ? type.get<std::string>() : "COMBO";
  if (!type.is_string() && type[0].is_string()) to = type[0].get<std::string>();
  const bool text = to == "COMBO" || to == "ANY" || to.starts_with("FILE:");
  if (from != to && !(text && from == "STRING") && !(to == "FLOAT" && from == "INT"))
    return Wrong(id, input, "return_type_mismatch", "Return type mismatch between linked nodes",
                 fmt::format("{}, received_type({}) mismatch input_type({})", input, from, to));
  if (type.is_string()) return;
  const Json* primitive = Value(id, input);
  if (primitive == nullptr) return;  // told where it is missing
  if (primitive->is_array())
    return Wrong(id, input, "bad_linked_input", "Bad linked input",
                 input + ": a Primitive node must hold a value");
  CheckValue(id, input, type, *primitive);
}

void ComfyGraph::CheckValue(const std::string& id, const std::string& input, const Json& type,
                            const Json& value) {
  if (type[0].is_array()) {
    if (std::find(type[0].begin(), type[0].end(), value) != type[0].end()) return;
    return Wrong(id, input, "value_not_in_list", "Value not in list",
                 fmt::format("{}: {} not in {}", input, Shown(value), type[0].dump()));
  }
  const std::string kind = type[0].get<std::string>();
  const auto unfit = [&] {
    Wrong(id, input, "invalid_input_type",
          "Failed to convert an input value to a " + kind + " value",
          fmt::format("{}, {}", input, Shown(value)));
  };
  if (kind == "BOOLEAN") return value.is_boolean() || value.is_number() ? void() : unfit();
  if (kind != "INT" && kind != "FLOAT") {
    return value.is_string() || (kind == "STRING" && !value.is_structured()) ? void() : unfit();
  }
  double number = 0;
  if (value.is_number()) {
    number = value.get<double>();
  } else if (value.is_string() && !value.get_ref<const std::string&>().empty()) {
    char* end = nullptr;
    number = std::strtod(value.get_ref<const std::string&>().c_str(), &end);
    if (*end != '\0') return unfit();
  } else {
    return unfit();
  }
  if (!std::isfinite(number) || (kind == "INT" && number != std::floor(number))) return unfit();
  const Json& limits = type[1];
  if (number < limits["min"].get<double>())
    return Wrong(id, input, "value_smaller_than_min",
                 fmt::format("Value {} smaller than min of {}", Shown(value), limits["min"].dump()),
                 input);
  if (number > limits["max"].get<double>())
    Wrong(id, input, "value_bigger_than_max",
          fmt::format("Value {} bigger than max of {}", Shown(value), limits["max"].dump()), input);
}

}  // namespace kontext::serve
