#include "weights/gguf_file.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "io/json.h"
#include "io/mapped_file.h"
#include "weights/ggml_types.h"

namespace kontext {
namespace {

// Longer vectors in blocks are refused: the copies of a small file shall not fill memory.
constexpr int64_t kMaxVector = 1 << 20;

class GgufFile : public WeightFile {
 public:
  static Result<std::unique_ptr<WeightFile>> Open(const std::string& path) {
    std::unique_ptr<GgufFile> file(new GgufFile);
    KX_ASSIGN_OR_RETURN(file->mapped_, MappedFile::Open(path));
    const ByteSpan bytes(file->mapped_.data(), static_cast<size_t>(file->mapped_.size()));
    KX_ASSIGN_OR_RETURN(Gguf gguf, ParseGguf(bytes, path));
    const auto parts = gguf.metadata.find("split.count");  // llama.cpp's gguf-split
    if (parts != gguf.metadata.end() && parts->second != "0" && parts->second != "1") {
      return BadInput(
          "{}: is one of {} parts; join them with llama.cpp's \"gguf-split "
          "--merge\"",
          path, Quoted(parts->second));
    }
    KX_ASSIGN_OR_RETURN(file->tensors_, GgufWeights(gguf, path, file->copies_));
    file->metadata_ = std::move(gguf.metadata);
    file->files_ = {path};
    return std::unique_ptr<WeightFile>(std::move(file));
  }

 private:
  GgufFile() = default;
  MappedFile mapped_;
  std::vector<Buffer> copies_;
};

// The tensor's own shape, or the one that ComfyUI-GGUF's converter has noted before it cut rows to
// the length that blocks need (tools/convert.py).
Result<Shape> TrueShape(const Gguf& gguf, const std::string& name, const Shape& stored,
                        const std::string& where) {
  const auto note = gguf.lists.find("comfy.gguf.orig_shape." + name);
  if (note == gguf.lists.end()) return stored;
  Shape shape;
  int64_t elements = 1;
  bool fits = true;
  for (const int64_t n : note->second) {
    shape.push_back(n);
    fits = fits && n >= 1 && !__builtin_mul_overflow(elements, n, &elements);
  }
  if (fits && elements == stored.NumElements()) return shape;
  return BadInput("{} is {}, but comfy.gguf.orig_shape says {}", where, stored.Str(), shape.Str());
}

Result<WeightRows> Plain(DType dtype, const Shape& shape, ByteSpan data,
                         std::vector<Buffer>& copies) {
  const auto address = reinterpret_cast<uintptr_t>(data.data());
  if (address % static_cast<uintptr_t>(SizeOf(dtype)) == 0) {
    return WeightRows(ConstTensorView(data.data(), dtype, shape));
  }
  KX_ASSIGN_OR_RETURN(Buffer copy, Buffer::Allocate(static_cast<int64_t>(data.size())));
  std::memcpy(copy.data(), data.data(), data.size());
  const ConstTensorView moved(copy.data(), dtype, shape);
  copies.push_back(std::move(copy));
  return WeightRows(moved);
}

// A vector in blocks, as plain numbers: encoded weights have rows. No converter we know writes any.
Result<WeightRows> DecodedVector(const GgufTensor& tensor, const Shape& shape,
                                 const std::string& where, std::vector<Buffer>& copies) {
  const int64_t n = shape.NumElements();
  if (n > kMaxVector) {
    return BadInput("{} is a vector of {} elements in {}, the limit is {}", where, n,
                    tensor.type->name, kMaxVector);
  }
  KX_ASSIGN_OR_RETURN(Buffer copy, Buffer::Allocate(n * SizeOf(DType::kF32)));
  const auto matrix = MakeGgmlMatrix(*tensor.type, tensor.data, 1, n);
  KX_ENSURE(matrix != nullptr);
  matrix->Decode(0, 0, n, reinterpret_cast<float*>(copy.data()));
  const ConstTensorView decoded(copy.data(), DType::kF32, shape);
  copies.push_back(std::move(copy));
  return WeightRows(decoded);
}

Result<WeightRows> Weight(const GgufTensor& tensor, const Shape& shape, const std::string& where,
                          std::vector<Buffer>& copies) {
  if (const auto dtype = PlainGgmlType(*tensor.type)) {
    return Plain(*dtype, shape, tensor.data, copies);
  }
  if (shape.rank() < 2) return DecodedVector(tensor, shape, where, copies);
  auto matrix = MakeGgmlMatrix(*tensor.type, tensor.data, shape[0], shape.NumElements() / shape[0]);
  KX_ENSURE(matrix != nullptr);
  return WeightRows(std::move(matrix), shape);
}

}  // namespace

Result<std::unique_ptr<WeightFile>> OpenGgufFile(const std::string& path) {
  return GgufFile::Open(path);
}

Result<WeightMap> GgufWeights(const Gguf& gguf, const std::string& file,
                              std::vector<Buffer>& copies) {
  WeightMap weights;
  for (const auto& [name, tensor] : gguf.tensors) {
    const std::string where = fmt::format("{}: tensor {}", file, Quoted(name));
    KX_ASSIGN_OR_RETURN(const Shape shape, TrueShape(gguf, name, tensor.shape, where));
    KX_ASSIGN_OR_RETURN(weights[name], Weight(tensor, shape, where, copies));
  }
  return weights;
}

}  // namespace kontext
