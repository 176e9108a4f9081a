#include "api/look.h"

#include <filesystem>

#include "model/published.h"
#include "model/sha256.h"
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

std::string Kind(const WeightFile& file) {
  const size_t files = file.files().size();
  const bool gguf = !file.files().empty() && file.files()[0].ends_with(".gguf");
  const char* format = gguf ? "GGUF" : "safetensors";
  return files > 1 ? fmt::format("{}, {} shards", format, files) : format;
}

// Of a single file; 0 of shards, which no sum here is about.
int64_t FileBytes(const WeightFile& file) {
  std::error_code ec;
  const uintmax_t bytes = file.files().size() == 1 ? fs::file_size(file.files()[0], ec) : 0;
  return ec ? 0 : static_cast<int64_t>(bytes);
}

// The sum of a single file, when asked for or when the size is that of a published one.
Status AddSum(const WeightFile& file, const LookOptions& options, Inspection& out) {
  const int64_t bytes = FileBytes(file);
  const PublishedFile* same_size = PublishedBySize(bytes);
  const bool automatic = same_size != nullptr && bytes <= options.sum_up_to_bytes;
  if (bytes == 0 || (!options.sha256 && !automatic)) return {};
  KX_ASSIGN_OR_RETURN(out.sha256, Sha256OfFile(file.files()[0]));
  const PublishedFile* same = PublishedBySum(out.sha256);
  if (same != nullptr) {
    out.published = fmt::format("the published {}", same->name);
  } else if (same_size != nullptr) {
    out.published = fmt::format("none, though as long as the published {}", same_size->name);
    out.problems.push_back(
        fmt::format("has the size of the published {} but another SHA-256; if it should be that "
                    "file, download it again",
                    same_size->name));
  } else {
    out.published = "no published file that is known here";
  }
  return {};
}

void CheckParts(const WeightMap& tensors, const std::string& configs, Look& look) {
  for (const Part part : kParts) {
    if (!look.identity.fits() || !look.identity.Holds(TraitsOf(part).family)) continue;
    Result<PartWidths> widths = CheckPart(part, tensors, look.inspection.path, configs);
    if (widths.ok()) {
      look.widths[part] = *widths;
    } else {
      look.inspection.problems.push_back(widths.message());
    }
  }
}

}  // namespace

std::string GigaBytes(int64_t bytes) {
  return bytes < 50'000'000 ? fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6)
                            : fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

Result<Look> LookAtWeights(const std::string& path, const std::string& configs,
                           const LookOptions& options) {
  KX_ASSIGN_OR_RETURN(const std::unique_ptr<WeightFile> file, WeightFile::Open(path));
  Look look;
  look.identity = Identify(file->tensors());
  const Identity& id = look.identity;
  Inspection& out = look.inspection;
  out.path = path;
  out.kind = Kind(*file);
  out.family = FamilyName(id.family);
  out.layout = id.layout.empty() ? id.description : id.description + ", " + id.layout + " names";
  CountTensors(file->tensors(), out);
  KX_RETURN_IF_ERROR(AddSum(*file, options, out));
  if (id.Holds(Family::kFluxTransformer) && id.instead.empty()) {
    look.variant = TellVariant(out.sha256, FileBytes(*file), file->metadata(), path);
    out.variant = look.variant.text;
  }
  if (id.family == Family::kUnknown) {
    out.problems.push_back(fmt::format(
        "none of its {} tensors has a name of FLUX.1's transformer, autoencoder, CLIP-L "
        "or T5",
        file->tensors().size()));
  } else if (!id.instead.empty() && !id.is_adapter) {
    out.problems.push_back(fmt::format("is {}; {}", id.description, id.instead));
  }
  CheckParts(file->tensors(), configs, look);
  return look;
}

}  // namespace kontext
