// What ComfyUI notes in a file about its layers (spec weights 5). New: a U8 tensor L.comfy_quant
// with the JSON {"format": F, ...} beside L.weight, or all layers in the file's metadata under
// "_quantization_metadata". Old: fp8 weights with L.scale_weight.
#include <string_view>

#include "weights/folding.h"

namespace kontext {
namespace {

constexpr std::string_view kNote = ".comfy_quant";
constexpr std::string_view kMetadataKey = "_quantization_metadata";
constexpr const char* kFormats =
    "float8_e4m3fn, float8_e5m2, nvfp4, mxfp8, int8_tensorwise and int8_blockwise";

using Notes = std::map<std::string, Json>;  // by layer

// The columns of a group, if the note says that the weight is rotated, else 1.
Result<int64_t> Rotation(const Json& note, const std::string& where) {
  const auto rotated = note.find("convrot");
  if (rotated == note.end() || *rotated == false) return 1;
  if (*rotated != true) return BadInput("{}: \"convrot\" must be true or false", where);
  if (!note.contains("convrot_groupsize")) return 256;
  return JsonInt(note, "convrot_groupsize", 1, 1 << 20, where);
}

Status FoldLayer(Folding& folding, const std::string& layer, const Json& note) {
  const std::string where =
      fmt::format("{}: quantisation of layer {}", folding.file(), Quoted(layer));
  const auto format = note.is_object() ? note.find("format") : note.end();
  if (format == note.end() || !format->is_string()) {
    return BadInput("{}: no \"format\"; the file is damaged", where);
  }
  const auto& name = format->get_ref<const std::string&>();
  // How the activations were scaled, which says nothing about the weight.
  folding.Drop(layer + ".input_scale");
  const std::string scale = layer + ".weight_scale";
  if (name == "float8_e4m3fn") return FoldScaledFp8(folding, layer, scale, DType::kF8E4M3);
  if (name == "float8_e5m2") return FoldScaledFp8(folding, layer, scale, DType::kF8E5M2);
  if (name == "nvfp4") return FoldNvfp4(folding, layer);
  if (name == "mxfp8") return FoldMxfp8(folding, layer);
  if (name == "int8_blockwise") return FoldInt8Blockwise(folding, layer);
  if (name == "int8_tensorwise") {
    KX_ASSIGN_OR_RETURN(const int64_t rotation, Rotation(note, where));
    return FoldInt8Tensorwise(folding, layer, rotation);
  }
  return BadInput(
      "{}: the format is {}, which cannot be read; known are {}. Get the model in one of "
      "them, in bf16 or as GGUF",
      where, Quoted(name), kFormats);
}

Result<Json> ParseNote(const std::string& file, const std::string& name,
                       const ConstTensorView& view) {
  const std::string where = fmt::format("{}: tensor {}", file, Quoted(name));
  if (view.dtype() != DType::kU8) {
    return BadInput("{}: is {}, expected JSON text in U8", where, Name(view.dtype()));
  }
  const std::string_view text(reinterpret_cast<const char*>(view.data()),
                              static_cast<size_t>(view.shape().NumElements()));
  return ParseJson(text, where, {.max_bytes = 1 << 16, .max_depth = 8});
}

// The layers listed in the file's metadata. A listed name may lack the prefix that the tensors
// have.
Status MetadataNotes(const Folding& folding, const std::string& text, Notes& notes) {
  const std::string where = fmt::format("{}: metadata {}", folding.file(), kMetadataKey);
  KX_ASSIGN_OR_RETURN(const Json json, ParseJson(text, where));
  const auto layers = json.is_object() ? json.find("layers") : json.end();
  if (layers == json.end() || !layers->is_object()) {
    return BadInput("{}: no \"layers\"; the file is damaged", where);
  }
  for (const auto& [name, tensor] : folding.raw()) {
    constexpr std::string_view kWeight = ".weight";
    if (!name.ends_with(kWeight)) continue;
    const std::string layer = name.substr(0, name.size() - kWeight.size());
    // The longest listed name that the layer's is, or ends with after a dot.
    std::string_view rest = layer;
    while (!layers->contains(rest)) {
      const size_t dot = rest.find('.');
      rest.remove_prefix(dot == std::string_view::npos ? rest.size() : dot + 1);
      if (rest.empty()) break;
    }
    if (!rest.empty()) notes.emplace(layer, layers->at(rest));
  }
  return {};
}

}  // namespace

Status FoldComfyLayers(Folding& folding, const std::map<std::string, std::string>& metadata) {
  Notes notes;
  for (const auto& [name, tensor] : folding.raw()) {
    if (!name.ends_with(kNote)) continue;
    KX_ASSIGN_OR_RETURN(notes[name.substr(0, name.size() - kNote.size())],
                        ParseNote(folding.file(), name, tensor));
    folding.Drop(name);
  }
  if (const auto at = metadata.find(std::string(kMetadataKey)); at != metadata.end()) {
    KX_RETURN_IF_ERROR(MetadataNotes(folding, at->second, notes));
  }
  for (const auto& [layer, note] : notes) KX_RETURN_IF_ERROR(FoldLayer(folding, layer, note));
  return {};
}

Status FoldComfyOldFp8(Folding& folding) {
  for (const auto& [name, tensor] : folding.raw()) {
    // A marker; what it says is in the other tensors' types, too. It may be empty.
    if (name == "scaled_fp8" || name.ends_with(".scaled_fp8")) folding.Drop(name);
    for (const std::string_view scale : {".scale_weight", ".weight_scale"}) {
      if (!name.ends_with(scale) || folding.taken(name)) continue;
      const std::string layer = name.substr(0, name.size() - scale.size());
      const ConstTensorView* weight = folding.Find(layer + ".weight");
      const bool fp8 = weight != nullptr &&
                       (weight->dtype() == DType::kF8E4M3 || weight->dtype() == DType::kF8E5M2);
      if (!fp8) {
        return folding.Bad(name,
                           "is the scale of no fp8 weight, and the file does not say of what "
                           "else; get the model as ComfyUI or Diffusers writes it");
      }
      KX_RETURN_IF_ERROR(FoldScaledFp8(folding, layer, name, weight->dtype()));
      folding.Drop(layer + ".scale_input");
      folding.Drop(layer + ".input_scale");
    }
  }
  return {};
}

}  // namespace kontext
