#include "weights/dialect.h"

#include <algorithm>
#include <utility>

#include "weights/identify.h"

namespace kontext {
namespace {

// Parts of an all-in-one file that belong to another network; with the empty prefix they are not
// ours.
constexpr const char* kOtherNetworks[] = {"vae.", "first_stage_model.", "text_encoders.",
                                          "cond_stage_model.", "conditioner."};

bool IsOfOtherNetwork(const std::string& name) {
  return std::any_of(std::begin(kOtherNetworks), std::end(kOtherNetworks),
                     [&](const char* prefix) { return name.starts_with(prefix); });
}

bool IsIgnored(const NameTable& table, const std::string& name) {
  return std::any_of(table.ignored.begin(), table.ignored.end(), [&](const std::string& ignored) {
    return ignored.ends_with('.') ? name.starts_with(ignored) : name == ignored;
  });
}

}  // namespace

Result<std::unique_ptr<CheckpointSource>> CheckpointSource::Create(
    const WeightMap& tensors, std::string file, const std::vector<NameTable>& dialects) {
  const NameTable* best = nullptr;
  std::string best_prefix, rival;  // rival: the first prefix under which as much is held
  int64_t best_hits = 0;
  for (const NameTable& table : dialects) {
    for (const std::string& prefix : table.prefixes) {
      const auto hits =
          std::count_if(table.probes.begin(), table.probes.end(),
                        [&](const std::string& probe) { return tensors.contains(prefix + probe); });
      if (hits > best_hits) {
        best = &table;
        best_prefix = prefix;
        best_hits = hits;
        rival.clear();
      } else if (hits == best_hits && &table == best && rival.empty()) {
        rival = prefix;  // never "", which is the first of all tables
      }
    }
  }
  if (best == nullptr) {
    std::string wanted;
    for (const NameTable& table : dialects) {
      wanted += fmt::format("{}\"{}\" ({})", wanted.empty() ? "" : " or ", table.probes[0],
                            table.dialect);
    }
    const std::string guess = Identify(tensors).description;
    return BadInput("{}: none of its {} tensors has a name expected here, such as {}{}", file,
                    tensors.size(), wanted,
                    guess.empty() ? "" : fmt::format(". It looks like {}", guess));
  }
  if (!rival.empty()) {
    return BadInput(
        "{}: holds \"{}{}\" and \"{}{}\": two networks of one kind, expected one; take one of them "
        "out, or another file",
        file, best_prefix, best->probes[0], rival, best->probes[0]);
  }
  return std::unique_ptr<CheckpointSource>(
      new CheckpointSource(tensors, std::move(file), *best, std::move(best_prefix)));
}

const WeightRows* CheckpointSource::Lookup(const std::string& file_name) const {
  const auto at = tensors_.find(prefix_ + file_name);
  return at == tensors_.end() ? nullptr : &at->second;
}

std::vector<FileParts> CheckpointSource::WaysToHold(const std::string& name) const {
  const auto at = table_.names.find(name);
  if (at != table_.names.end()) return at->second;
  if (table_.canonical) return {FileParts{FilePart{name}}};
  return {};
}

Result<std::vector<WeightRows>> CheckpointSource::Find(const std::string& name, const Shape&) {
  const std::vector<FileParts> ways = WaysToHold(name);
  // All names count as asked for: of several ways in one file (T5's shared.weight beside its alias,
  // or Diffusers' to_q beside the fused to_qkv) one is taken, and the rest holds the same numbers.
  for (const FileParts& parts : ways) {
    for (const FilePart& part : parts) asked_.insert(prefix_ + part.name);
  }
  const auto present = [&](const FilePart& part) { return Lookup(part.name) != nullptr; };
  for (const FileParts& parts : ways) {
    if (std::all_of(parts.begin(), parts.end(), present)) return Stack(parts);
  }
  for (const FileParts& parts : ways) {
    if (std::any_of(parts.begin(), parts.end(), present))
      return Stack(parts);  // says which part is missing
  }
  return std::vector<WeightRows>{};
}

Result<std::vector<WeightRows>> CheckpointSource::Stack(const FileParts& parts) {
  std::vector<WeightRows> pieces;
  for (const FilePart& part : parts) {
    const WeightRows* tensor = Lookup(part.name);
    if (tensor == nullptr) return BadInput("missing \"{}{}\"", prefix_, part.name);
    if (part.rows == 0) {
      pieces.push_back(*tensor);
      continue;
    }
    if (tensor->rank() == 0 || tensor->dim(0) != part.rows) {
      return BadInput("\"{}{}\" is {}, expected {} rows", prefix_, part.name, tensor->shape().Str(),
                      part.rows);
    }
    pieces.push_back(tensor->Rows(part.range.begin, part.range.end));
  }
  return pieces;
}

std::vector<std::string> CheckpointSource::Unasked() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) {
    if (asked_.contains(name) || !name.starts_with(prefix_)) continue;
    if (IsIgnored(table_, name.substr(prefix_.size()))) continue;
    if (prefix_.empty() && IsOfOtherNetwork(name)) continue;
    names.push_back(name);
  }
  return names;
}

std::string CheckpointSource::description() const {
  return fmt::format("{} ({} names)", file_, table_.dialect);
}

std::string CheckpointSource::NameInSource(const std::string& name) const {
  const std::vector<FileParts> ways = WaysToHold(name);
  if (ways.empty()) return name;
  std::string names;
  for (const FilePart& part : ways[0]) {
    if (part.name == ways[0][0].name && !names.empty()) continue;  // two ranges of one tensor
    if (!names.empty()) names += " + ";
    names += prefix_ + part.name;
  }
  return names;
}

std::string CheckpointSource::Guess() const { return Identify(tensors_).description; }

}  // namespace kontext
