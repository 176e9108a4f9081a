// WeightFile: a weight file of any kind we read, opened: its weights by name, still encoded and
// still in the mapped file.
#ifndef KONTEXT_WEIGHTS_WEIGHT_FILE_H_
#define KONTEXT_WEIGHTS_WEIGHT_FILE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "weights/encodings.h"

namespace kontext {

class WeightFile {
 public:
  // `path`: a .safetensors file, an index of shards, a folder with one of them, or a GGUF file;
  // told apart by content.
  static Result<std::unique_ptr<WeightFile>> Open(const std::string& path);
  virtual ~WeightFile() = default;
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;

  const WeightMap& tensors() const { return tensors_; }
  // What the container says about itself, as text: safetensors' __metadata__, GGUF's key-values of
  // simple type.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::vector<std::string>& files() const { return files_; }  // paths of the mapped files

 protected:
  WeightFile() = default;

  WeightMap tensors_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> files_;
};

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_WEIGHT_FILE_H_
