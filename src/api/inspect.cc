// kontext.h's Inspect: what a file or folder is, told by its content.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>

#include "io/json.h"
#include "io/mapped_file.h"
#include "io/picture.h"
#include "kontext/kontext.h"
#include "weights/identify.h"
#include "weights/weight_file.h"

namespace kontext {
namespace {

namespace fs = std::filesystem;

std::string FamilyName(Family family) {
  switch (family) {
    case Family::kFluxTransformer:
      return "FLUX.1 transformer";
    case Family::kFluxVae:
      return "FLUX.1 autoencoder";
    case Family::kClip:
      return "CLIP text encoder";
    case Family::kT5:
      return "T5 text encoder";
    case Family::kAllInOne:
      return "FLUX.1, several parts in one file";
    case Family::kLora:
      return "LoRA";
    case Family::kOtherModel:
      return "another model";
    case Family::kUnknown:
      break;
  }
  return "unknown";
}

bool Mentions(std::string text, std::string_view word) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text.find(word) != std::string::npos;
}

// Kontext and dev have the same tensors: only metadata and names can tell them apart.
std::string Variant(const std::map<std::string, std::string>& metadata, const std::string& path) {
  for (const auto& [key, value] : metadata) {
    if (Mentions(value, "kontext")) return "Kontext [dev], by the metadata \"" + key + "\"";
  }
  if (Mentions(path, "kontext"))
    return "Kontext [dev], by the file's name; its tensors are those of FLUX.1 [dev], too";
  return "FLUX.1 [dev] or Kontext [dev]: their tensors are the same, and neither metadata nor name "
         "says which";
}

void CountTensors(const WeightMap& tensors, Inspection& out) {
  std::map<std::string, Inspection::DTypeRow> rows;
  for (const auto& [name, weight] : tensors) {
    Inspection::DTypeRow& row = rows[weight.encoding()];
    row.tensors += 1;
    row.parameters += weight.shape().NumElements();
    std::vector<ByteSpan> spans;
    weight.Touches(spans);
    for (const ByteSpan& span : spans) row.bytes += static_cast<int64_t>(span.size());
  }
  for (auto& [dtype, row] : rows) {
    row.dtype = dtype;
    out.tensors += row.tensors;
    out.parameters += row.parameters;
    out.bytes += row.bytes;
    out.dtypes.push_back(row);
  }
}

Result<Inspection> InspectWeights(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const std::unique_ptr<WeightFile> file, WeightFile::Open(path));
  Inspection out;
  out.path = path;
  out.kind = file->files().size() > 1 ? fmt::format("safetensors, {} shards", file->files().size())
                                      : "safetensors";
  const Identity identity = Identify(file->tensors());
  out.family = FamilyName(identity.family);
  out.layout = identity.description;
  if (identity.family == Family::kFluxTransformer) out.variant = Variant(file->metadata(), path);
  CountTensors(file->tensors(), out);
  const bool usable = identity.family == Family::kFluxTransformer ||
                      identity.family == Family::kFluxVae || identity.family == Family::kClip ||
                      identity.family == Family::kT5;
  if (!usable) {
    out.problems.push_back(
        fmt::format("this version reads bf16, f16 and f32 files of FLUX.1 Kontext [dev]'s "
                    "transformer, autoencoder, CLIP-L "
                    "and T5-XXL; this one is {}",
                    identity.description.empty() ? "none of them" : identity.description));
  }
  return out;
}

struct Magic {
  std::string_view bytes;
  const char* kind;
  const char* problem;
};
// Formats that are recognised only to say what to get instead.
constexpr std::array<Magic, 5> kForeign = {{
    {"GGUF", "GGUF",
     "this version does not read GGUF yet; get the safetensors file of the same model"},
    {"PK\x03\x04", "zip archive or PyTorch pickle",
     "pickles can run code when opened and are never read; get the .safetensors file of the same "
     "model"},
    {"\x80\x02", "Python pickle",
     "pickles can run code when opened and are never read; get the .safetensors file of the same "
     "model"},
    {"ptrt", "TensorRT engine",
     "engines are compiled for one GPU; get the .safetensors file of the same model"},
    {"\x08", "ONNX (perhaps)",
     "ONNX graphs are not read; get the .safetensors file of the same model"},
}};

Result<Inspection> InspectFile(const std::string& path) {
  KX_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()),
                               static_cast<size_t>(file.size()));
  // A picture?
  Result<DecodedPicture> picture = DecodePicture(bytes, path, /*keep_alpha=*/true);
  if (picture.ok()) {
    Inspection out;
    out.path = path;
    out.kind = fmt::format("picture, {}x{}", picture->pixels.width, picture->pixels.height);
    out.bytes = file.size();
    out.recipe = picture->recipe;
    return out;
  }
  const std::string extension = fs::path(path).extension().string();
  for (const Magic& m : kForeign) {
    const bool onnx = m.bytes.size() == 1;
    if (!bytes.starts_with(m.bytes) || (onnx && extension != ".onnx")) continue;
    Inspection out;
    out.path = path;
    out.kind = m.kind;
    out.bytes = file.size();
    out.problems.push_back(m.problem);
    return out;
  }
  return InspectWeights(path);
}

// A model directory: its parts, and what is missing.
Result<Inspection> InspectModel(const std::string& path) {
  Inspection out;
  out.path = path;
  out.kind = "model directory";
  KX_ASSIGN_OR_RETURN(const Json index,
                      ReadJsonFile((fs::path(path) / "model_index.json").string()));
  const std::string pipeline = index.is_object() ? index.value("_class_name", "") : "";
  out.family = pipeline.empty() ? "unknown" : pipeline;
  if (pipeline == "FluxKontextPipeline") out.variant = "Kontext [dev], by model_index.json";
  for (const char* part : {"transformer", "text_encoder", "text_encoder_2", "vae"}) {
    const std::string folder = (fs::path(path) / part).string();
    Result<Inspection> inside = InspectWeights(folder);
    if (!inside.ok()) {
      out.problems.push_back(inside.message());
      continue;
    }
    if (part != std::string("transformer")) inside->variant.clear();
    out.tensors += inside->tensors;
    out.parameters += inside->parameters;
    out.bytes += inside->bytes;
    out.parts.push_back(*std::move(inside));
  }
  for (const char* need : {"tokenizer", "tokenizer_2", "scheduler/scheduler_config.json"}) {
    std::error_code ec;
    if (!fs::exists(fs::path(path) / need, ec))
      out.problems.push_back(fmt::format("{} is missing", need));
  }
  return out;
}

}  // namespace

Result<Inspection> Inspect(const std::string& path) {
  std::error_code ec;
  if (!fs::is_directory(path, ec)) return InspectFile(path);
  if (fs::exists(fs::path(path) / "model_index.json", ec)) return InspectModel(path);
  return InspectWeights(path);
}

}  // namespace kontext
