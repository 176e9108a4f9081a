#include "weights/packed_file.h"

#include <cmath>
#include <utility>

#include "io/json.h"
#include "tensor/packed_int8.h"

namespace kontext {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 31;  // of rows and columns: products fit 64 bits
constexpr size_t kSha256Digits = 64;

Result<PackedEntry> ReadEntry(const Json& json, const std::string& where) {
  PackedEntry entry;
  if (!json.is_object() || !json.contains("sha256") || !json["sha256"].is_string() ||
      json["sha256"].get_ref<const std::string&>().size() != kSha256Digits) {
    return BadInput("{} has no SHA-256; the file is damaged, convert the original again", where);
  }
  entry.sha256 = json["sha256"].get<std::string>();
  if (!json.contains("rotation")) return entry;
  KX_ASSIGN_OR_RETURN(entry.rows, JsonInt(json, "rows", 1, kMaxSize, where));
  KX_ASSIGN_OR_RETURN(entry.columns, JsonInt(json, "columns", 1, kMaxSize, where));
  KX_ASSIGN_OR_RETURN(entry.rotation, JsonInt(json, "rotation", 1, 256, where));
  if (entry.rotation != 1 && entry.rotation != PackedInt8::RotationFor(entry.columns)) {
    return BadInput("{} has {} columns in groups of {}; the file is damaged", where, entry.columns,
                    entry.rotation);
  }
  return entry;
}

class Folder {
 public:
  Folder(const std::map<std::string, ConstTensorView>& raw, const std::string& file)
      : raw_(raw), file_(file) {}

  Result<WeightRows> Int8(const std::string& name, const PackedEntry& e) const {
    const int64_t rows = PackedInt8::PaddedRows(e.rows) / PackedInt8::kRows;
    const int64_t columns = PackedInt8::PaddedColumns(e.columns) / PackedInt8::kColumns;
    KX_ASSIGN_OR_RETURN(
        const auto weight,
        Part(name, DType::kI8, {rows, columns, PackedInt8::kRows, PackedInt8::kColumns}));
    KX_ASSIGN_OR_RETURN(const auto scale, Part(name + kScaleSuffix, DType::kF32, {e.rows}));
    KX_ASSIGN_OR_RETURN(const auto sums, Part(name + kSumsSuffix, DType::kI32, {e.rows}));
    PackedInt8::Parts parts;
    parts.weight = weight.As<int8_t>();
    parts.scale = scale.As<float>();
    parts.sums = sums.As<int32_t>();
    parts.rotation = e.rotation;
    for (int64_t i = 0; i < e.rows; ++i) {
      if (std::isfinite(parts.scale[i]) && parts.scale[i] >= 0) continue;
      return BadInput(
          "{}: tensor {} has the scale {} in row {}; the file is damaged, convert the "
          "original again",
          file_, Quoted(name), parts.scale[i], i);
    }
    return WeightRows(std::make_shared<const PackedInt8>(e.rows, e.columns, parts),
                      {e.rows, e.columns});
  }

  Result<ConstTensorView> Part(const std::string& name, DType dtype, const Shape& shape) const {
    const auto at = raw_.find(name);
    if (at == raw_.end()) {
      return BadInput("{}: lacks the tensor {}; the file is damaged, convert the original again",
                      file_, Quoted(name));
    }
    const ConstTensorView& view = at->second;
    if (view.dtype() != dtype || !(view.shape() == shape)) {
      return BadInput("{}: tensor {} is {} {}, expected {} {}; the file is damaged", file_,
                      Quoted(name), Name(view.dtype()), view.shape().Str(), Name(dtype),
                      shape.Str());
    }
    return view;
  }

 private:
  const std::map<std::string, ConstTensorView>& raw_;
  const std::string& file_;
};

bool BelongsToInt8(const std::string& name, const PackedIndex& index) {
  for (const std::string suffix : {kScaleSuffix, kSumsSuffix}) {
    if (!name.ends_with(suffix)) continue;
    const auto at = index.find(name.substr(0, name.size() - suffix.size()));
    if (at != index.end() && at->second.is_int8()) return true;
  }
  return false;
}

}  // namespace

Result<PackedIndex> ReadPackedIndex(const std::map<std::string, std::string>& metadata,
                                    const std::string& file) {
  const auto version = metadata.find(kPackedKey);
  if (version == metadata.end()) {
    return BadInput("{}: was not written by \"kontext convert\" and has no checksums", file);
  }
  if (version->second != kPackedVersion) {
    return BadInput(
        "{}: is packed in format {}, this program reads format {}; convert the original "
        "file again",
        file, Quoted(version->second), kPackedVersion);
  }
  const auto tensors = metadata.find("tensors");
  if (tensors == metadata.end()) {
    return BadInput("{}: has no list of its tensors; the file is damaged", file);
  }
  const std::string what = file + ": list of its tensors";
  KX_ASSIGN_OR_RETURN(const Json json, ParseJson(tensors->second, what, {.max_depth = 4}));
  if (!json.is_object()) return BadInput("{}: is no JSON object", what);
  PackedIndex index;
  for (const auto& [name, entry] : json.items()) {
    const std::string where = fmt::format("{}: tensor {}", file, Quoted(name));
    KX_ASSIGN_OR_RETURN(index[name], ReadEntry(entry, where));
  }
  return index;
}

std::string WritePackedIndex(const PackedIndex& index) {
  Json json = Json::object();
  for (const auto& [name, entry] : index) {
    json[name] = {{"sha256", entry.sha256}};
    if (!entry.is_int8()) continue;
    json[name]["rows"] = entry.rows;
    json[name]["columns"] = entry.columns;
    json[name]["rotation"] = entry.rotation;
  }
  return json.dump();
}

Result<WeightMap> FoldPacked(const std::map<std::string, ConstTensorView>& raw,
                             const std::map<std::string, std::string>& metadata,
                             const std::string& file) {
  KX_ASSIGN_OR_RETURN(const PackedIndex index, ReadPackedIndex(metadata, file));
  const Folder folder(raw, file);
  WeightMap weights;
  for (const auto& [name, entry] : index) {
    if (entry.is_int8()) {
      KX_ASSIGN_OR_RETURN(weights[name], folder.Int8(name, entry));
      continue;
    }
    const auto at = raw.find(name);
    if (at == raw.end()) {
      return BadInput("{}: lacks the tensor {}; the file is damaged, convert the original again",
                      file, Quoted(name));
    }
    if (!BelongsToInt8(name, index)) weights[name] = at->second;
  }
  for (const auto& [name, view] : raw) {
    if (!index.contains(name) && !name.starts_with(kPaddingPrefix)) {
      return BadInput("{}: has the tensor {}, which is not in its list; the file is damaged", file,
                      Quoted(name));
    }
  }
  return weights;
}

}  // namespace kontext
