// Checkpoint: named tensors of one weight file, or of all shards of one, as read-only views into
// mapped memory.
#ifndef KONTEXT_IO_CHECKPOINT_H_
#define KONTEXT_IO_CHECKPOINT_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/mapped_file.h"
#include "tensor/arena.h"
#include "tensor/view.h"

namespace kontext {

class Checkpoint {
 public:
  // `path`: a .safetensors file; an index (*.safetensors.index.json) whose shards lie beside it; or
  // a folder that holds exactly one of the two. Every offset is checked against the file. A name
  // that stands in two shards, a shard outside the index's folder and a broken promise are errors.
  static Result<Checkpoint> Open(const std::string& path);

  const std::map<std::string, ConstTensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::vector<std::string>& files() const { return files_; }  // paths of the mapped files

 private:
  // The tensors of one file, which stays mapped.
  Result<std::map<std::string, ConstTensorView>> Map(const std::string& path);
  Status MapShards(const std::string& index);

  std::vector<MappedFile> mapped_;
  std::vector<Buffer> realigned_;  // see io/safetensors.h
  std::vector<std::string> files_;
  std::map<std::string, ConstTensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace kontext

#endif  // KONTEXT_IO_CHECKPOINT_H_
