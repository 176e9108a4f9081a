// The GGUF format, versions 2 and 3, read (spec weights.md 7.1; ggml's gguf.h). All little-endian:
//
//   "GGUF", u32 version, i64 tensors, i64 key-values
//   key-values   text key, i32 type, value             text: u64 bytes, then the bytes
//   tensors      text name, u32 dimensions, i64 sizes[dimensions], i32 type, u64 offset
//   padding to general.alignment (32 if absent), then the data, from which the offsets count
//
// Sizes stand innermost first in the file; here they are reversed, as PyTorch has them.
#ifndef KONTEXT_IO_GGUF_H_
#define KONTEXT_IO_GGUF_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensor/shape.h"

namespace kontext {

// A number format of ggml: a row is whole blocks of so many elements and bytes.
struct GgmlType {
  uint32_t id;
  const char* name;        // "Q4_K"
  int64_t block_elements;  // 0: ggml has this type, we do not read it
  int64_t block_bytes;
};
// By the number it has in files; null for a number that ggml does not know, either.
const GgmlType* FindGgmlType(uint32_t id);

struct GgufTensor {
  Shape shape;                     // outermost first
  const GgmlType* type = nullptr;  // one that is read
  std::span<const std::byte> data;
};

struct Gguf {
  std::map<std::string, GgufTensor> tensors;
  std::map<std::string, std::string> metadata;  // numbers, truth values and text, as text
  // Lists of integers as long as a shape may be, such as comfy.gguf.orig_shape.NAME; longer lists
  // and lists of other things are passed over.
  std::map<std::string, std::vector<int64_t>> lists;
};

// `file`: all bytes of one file, which must outlive the result. `what` names it in messages.
// Checked: magic, version, byte order; that every count, text, list and tensor lies in the file,
// without overflow; names that are UTF-8 and stand once; types; at most 4 dimensions, none of them
// 0, rows of whole blocks; offsets that are aligned and do not overlap. No number of things is
// limited but by the file's size.
Result<Gguf> ParseGguf(std::span<const std::byte> file, const std::string& what);

// Whether a file that begins with these bytes says it is GGUF.
bool IsGguf(std::span<const std::byte> head);

}  // namespace kontext

#endif  // KONTEXT_IO_GGUF_H_
