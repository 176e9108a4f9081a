#include "weights/weight_file.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "io/checkpoint.h"
#include "io/container.h"
#include "weights/gguf_file.h"
#include "weights/packed_file.h"

namespace kontext {
namespace {

class SafetensorsFile : public WeightFile {
 public:
  static Result<std::unique_ptr<WeightFile>> Open(const std::string& path) {
    KX_ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Open(path));
    std::unique_ptr<SafetensorsFile> file(new SafetensorsFile(std::move(checkpoint)));
    file->metadata_ = file->checkpoint_.metadata();
    file->files_ = file->checkpoint_.files();
    const auto fold = IsPacked(file->metadata_) ? FoldPacked : FoldEncodings;
    KX_ASSIGN_OR_RETURN(file->tensors_, fold(file->checkpoint_.tensors(), file->metadata_, path));
    return std::unique_ptr<WeightFile>(std::move(file));
  }

 private:
  explicit SafetensorsFile(Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {}
  const Checkpoint checkpoint_;
};

}  // namespace

Result<std::unique_ptr<WeightFile>> WeightFile::Open(const std::string& path) {
  // A folder or an index of shards is no container of its own.
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) {
    KX_ASSIGN_OR_RETURN(const Container container, SniffFile(path));
    if (container == Container::kGguf) return OpenGgufFile(path);
  }
  return SafetensorsFile::Open(path);
}

}  // namespace kontext
