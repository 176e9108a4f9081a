// What kind of file bytes are, by their first bytes; weights, and what people find in their place.
#ifndef KONTEXT_IO_CONTAINER_H_
#define KONTEXT_IO_CONTAINER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kontext {

enum class Container {
  kUnknown,
  kEmpty,
  kSafetensors,
  kGguf,
  kPickle,      // PyTorch's .pt, .ckpt, .bin; as zip archive or bare
  kOnnx,        // an exported graph; its weights are often in a file beside it
  kTensorRt,    // an engine compiled for one GPU
  kLfsPointer,  // Git's three lines in place of a large file
  kWebPage,     // a login or error page saved under the file's name
  kJson,
};

// `head`: the first bytes of the file, 64 or more unless it is shorter. `bytes`: the file's size.
Container SniffContainer(std::string_view head, int64_t bytes);
// Of a file, by its first bytes.
Result<Container> SniffFile(const std::string& path);

struct ContainerWords {
  const char* kind;     // "a Git LFS pointer"
  const char* instead;  // what to get or do; empty for what can be read
};
ContainerWords Describe(Container container);

}  // namespace kontext

#endif  // KONTEXT_IO_CONTAINER_H_
