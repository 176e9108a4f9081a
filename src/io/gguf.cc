#include "io/gguf.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <set>
#include <string_view>
#include <utility>

#include "io/json.h"

namespace kontext {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie");

constexpr std::string_view kMagic = "GGUF";
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint32_t kMaxDimensions = 4;              // GGML_MAX_DIMS
constexpr int64_t kMaxElements = int64_t{1} << 56;  // of a tensor: its bytes fit 64 bits
constexpr int64_t kSmallestTensor = 8 + 4 + 4 + 8;  // bytes of its entry: no name, no dimension
constexpr int64_t kSmallestKeyValue = 8 + 4 + 1;    // no key, one byte
constexpr size_t kMaxList = size_t{Shape::kMaxRank};

// ggml.h, enum ggml_type; sizes: ggml-common.h (spec weights 7.3).
constexpr GgmlType kTypes[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},       {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},      {6, "Q5_0", 32, 22},    {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},      {9, "Q8_1", 0, 0},      {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144}, {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 0, 0},     {16, "IQ2_XXS", 0, 0},
    {17, "IQ2_XS", 0, 0},     {18, "IQ3_XXS", 0, 0},  {19, "IQ1_S", 0, 0},
    {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 0, 0},    {22, "IQ2_S", 0, 0},
    {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},       {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},      {28, "F64", 1, 8},
    {29, "IQ1_M", 0, 0},      {30, "BF16", 1, 2},     {34, "TQ1_0", 0, 0},
    {35, "TQ2_0", 0, 0},      {39, "MXFP4", 32, 17},  {40, "NVFP4", 64, 36},
};

enum ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
  kValueTypes
};
constexpr uint64_t kValueBytes[kValueTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

std::string ReadTypes() {
  std::string all;
  for (const GgmlType& t : kTypes) {
    if (t.block_elements > 0) all += fmt::format("{}{}", all.empty() ? "" : " ", t.name);
  }
  return all;
}

// Names and texts go into messages, JSON and tables, so they must be UTF-8. The JSON library's
// writer knows that.
bool IsUtf8(std::string_view text) {
  try {
    const std::string written = Json(std::string(text)).dump();
    return !written.empty();
  } catch (const Json::type_error&) {
    return false;
  }
}

// The file's bytes from front to back. Whatever lies beyond the end is an error, never read.
class Reader {
 public:
  Reader(std::span<const std::byte> file, const std::string& what) : file_(file), what_(what) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return file_.size() - at_; }

  template <class T>
  Result<T> Number(const std::string& field) {
    KX_ASSIGN_OR_RETURN(const auto bytes, Bytes(sizeof(T), field));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  Result<std::string_view> Text(const std::string& field) {
    KX_ASSIGN_OR_RETURN(const uint64_t n, Number<uint64_t>(field));
    KX_ASSIGN_OR_RETURN(const auto bytes, Bytes(n, field));
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  Result<std::span<const std::byte>> Bytes(uint64_t n, const std::string& field) {
    if (n > left()) {
      return BadInput(
          "{}: {} takes {} bytes from byte {} on, but the file ends at {}; is it cut "
          "off?",
          what_, field, n, at_, file_.size());
    }
    const auto bytes = file_.subspan(static_cast<size_t>(at_), static_cast<size_t>(n));
    at_ += n;
    return bytes;
  }
  // How many entries follow; each takes `smallest` bytes or more.
  Result<int64_t> Count(const std::string& field, int64_t smallest) {
    KX_ASSIGN_OR_RETURN(const auto n, Number<int64_t>(field));
    if (n < 0 || n > static_cast<int64_t>(left()) / smallest) {
      return BadInput("{}: {} is {}, for which the file's {} bytes are too few; is it cut off?",
                      what_, field, n, file_.size());
    }
    return n;
  }

 private:
  std::span<const std::byte> file_;
  const std::string& what_;
  uint64_t at_ = 0;
};

template <class T>
std::string AsText(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return fmt::format("{}", value);
}

std::string NumberAsText(uint32_t type, const std::byte* bytes) {
  switch (type) {
    case kU8:
      return AsText<uint8_t>(bytes);
    case kI8:
      return AsText<int8_t>(bytes);
    case kU16:
      return AsText<uint16_t>(bytes);
    case kI16:
      return AsText<int16_t>(bytes);
    case kU32:
      return AsText<uint32_t>(bytes);
    case kI32:
      return AsText<int32_t>(bytes);
    case kF32:
      return AsText<float>(bytes);
    case kBool:
      return std::to_integer<int>(*bytes) != 0 ? "true" : "false";
    case kU64:
      return AsText<uint64_t>(bytes);
    case kI64:
      return AsText<int64_t>(bytes);
    default:
      return AsText<double>(bytes);
  }
}

class Parser {
 public:
  Parser(std::span<const std::byte> file, const std::string& what)
      : file_(file), what_(what), in_(file, what) {}

  Result<Gguf> Parse() {
    KX_RETURN_IF_ERROR(Head());
    KX_ASSIGN_OR_RETURN(const int64_t tensors, in_.Count("the number of tensors", kSmallestTensor));
    KX_ASSIGN_OR_RETURN(const int64_t values,
                        in_.Count("the number of key-values", kSmallestKeyValue));
    for (int64_t i = 0; i < values; ++i) KX_RETURN_IF_ERROR(KeyValue(i));
    for (int64_t i = 0; i < tensors; ++i) KX_RETURN_IF_ERROR(Tensor(i));
    KX_RETURN_IF_ERROR(PlaceTensors());
    return std::move(out_);
  }

 private:
  struct Place {
    uint64_t offset, bytes;
    const std::string* name;
    GgufTensor* tensor;
  };

  Status Head() {
    KX_ASSIGN_OR_RETURN(const auto magic, in_.Bytes(kMagic.size(), "the magic number"));
    if (!IsGguf(magic)) return BadInput("{}: is no GGUF file: it does not begin with GGUF", what_);
    KX_ASSIGN_OR_RETURN(const auto version, in_.Number<uint32_t>("the version"));
    if (version != 0 && (version & 0xFFFF) == 0) {  // as ggml's gguf.cpp tells it
      return BadInput(
          "{}: is a big-endian GGUF file, made for other processors; get the little-endian file, "
          "or turn it with gguf-py's gguf_convert_endian",
          what_);
    }
    if (version != 2 && version != 3) {
      return BadInput("{}: is GGUF version {}, read are versions 2 and 3; {}", what_, version,
                      version < 2 ? "convert the original again with a newer program"
                                  : "is there a newer kontext?");
    }
    return {};
  }

  Result<std::string> Utf8Text(const std::string& field) {
    KX_ASSIGN_OR_RETURN(const std::string_view text, in_.Text(field));
    if (!IsUtf8(text)) return BadInput("{}: {} {} is no UTF-8", what_, field, Quoted(text));
    return std::string(text);
  }

  Status KeyValue(int64_t i) {
    KX_ASSIGN_OR_RETURN(const std::string key, Utf8Text(fmt::format("key {}", i)));
    const std::string field = "the value of " + Quoted(key);
    if (!keys_.insert(key).second) {
      return BadInput("{}: the key {} stands twice", what_, Quoted(key));
    }
    KX_ASSIGN_OR_RETURN(const auto type, in_.Number<uint32_t>(field));
    if (type >= kValueTypes) return BadInput("{}: {} has the unknown type {}", what_, field, type);
    if (type == kArray) return List(key, field);
    if (type == kString) {
      KX_ASSIGN_OR_RETURN(const std::string_view text, in_.Text(field));
      out_.metadata[key] = IsUtf8(text) ? std::string(text) : Quoted(text);
    } else {
      KX_ASSIGN_OR_RETURN(const auto bytes, in_.Bytes(kValueBytes[type], field));
      out_.metadata[key] = NumberAsText(type, bytes.data());
    }
    if (key != "general.alignment") return {};
    const std::string& text = out_.metadata[key];
    alignment_ = type == kU32 ? std::strtoull(text.c_str(), nullptr, 10) : 0;
    if (std::has_single_bit(alignment_)) return {};
    return BadInput("{}: general.alignment is {}, expected a power of two as u32", what_,
                    Quoted(text));
  }

  Status List(const std::string& key, const std::string& field) {
    KX_ASSIGN_OR_RETURN(const auto type, in_.Number<uint32_t>(field));
    KX_ASSIGN_OR_RETURN(const auto n, in_.Number<uint64_t>(field));
    if (type >= kValueTypes || type == kArray) {
      return BadInput("{}: {} is a list of the unknown type {}", what_, field, type);
    }
    if (type == kString) {
      for (uint64_t i = 0; i < n; ++i) {  // ends at the file's end at the latest
        KX_RETURN_IF_ERROR(in_.Text(field).status());
      }
      return {};
    }
    // Compared as a quotient: the product may overflow.
    if (n > in_.left() / kValueBytes[type]) {
      return BadInput("{}: {} is a list of {} entries, but only {} bytes follow; is it cut off?",
                      what_, field, n, in_.left());
    }
    KX_ASSIGN_OR_RETURN(const auto bytes, in_.Bytes(n * kValueBytes[type], field));
    if (n > kMaxList || (type != kI32 && type != kI64 && type != kU32)) return {};
    std::vector<int64_t>& list = out_.lists[key];
    for (size_t i = 0; i < n; ++i) {
      const std::byte* from = bytes.data() + i * kValueBytes[type];
      list.push_back(std::strtoll(NumberAsText(type, from).c_str(), nullptr, 10));
    }
    return {};
  }

  Status Tensor(int64_t i) {
    KX_ASSIGN_OR_RETURN(const std::string name, Utf8Text(fmt::format("the name of tensor {}", i)));
    const std::string where = "tensor " + Quoted(name);
    const auto [entry, is_new] = out_.tensors.emplace(name, GgufTensor{});
    if (!is_new) return BadInput("{}: {} stands twice", what_, where);
    GgufTensor& tensor = entry->second;
    KX_ASSIGN_OR_RETURN(const int64_t elements, Sizes(where, tensor.shape));
    KX_ASSIGN_OR_RETURN(const auto id, in_.Number<uint32_t>(where));
    KX_ASSIGN_OR_RETURN(const auto offset, in_.Number<uint64_t>(where));
    tensor.type = FindGgmlType(id);
    if (tensor.type == nullptr || tensor.type->block_elements == 0) {
      return BadInput("{}: {} is encoded as {}, which is not read; read are {}", what_, where,
                      tensor.type == nullptr ? fmt::format("type {}", id) : tensor.type->name,
                      ReadTypes());
    }
    const int64_t columns = tensor.shape.rank() == 0 ? 1 : tensor.shape.back();
    if (columns % tensor.type->block_elements != 0) {
      return BadInput("{}: {} is {} of {}, whose rows must be multiples of {}", what_, where,
                      tensor.type->name, tensor.shape.Str(), tensor.type->block_elements);
    }
    const int64_t bytes = elements / tensor.type->block_elements * tensor.type->block_bytes;
    places_.push_back({offset, static_cast<uint64_t>(bytes), &entry->first, &tensor});
    return {};
  }

  // Reads the sizes; the number of elements.
  Result<int64_t> Sizes(const std::string& where, Shape& shape) {
    KX_ASSIGN_OR_RETURN(const auto rank, in_.Number<uint32_t>(where));
    if (rank > kMaxDimensions) {
      return BadInput("{}: {} has {} dimensions, the limit is {}", what_, where, rank,
                      kMaxDimensions);
    }
    int64_t sizes[kMaxDimensions] = {};
    int64_t elements = 1;
    for (uint32_t i = 0; i < rank; ++i) {
      KX_ASSIGN_OR_RETURN(sizes[i], in_.Number<int64_t>(where));
      if (sizes[i] < 1) return BadInput("{}: {} has a dimension of {}", what_, where, sizes[i]);
      if (__builtin_mul_overflow(elements, sizes[i], &elements) || elements > kMaxElements) {
        return BadInput("{}: {} has more than 2^56 elements", what_, where);
      }
    }
    for (uint32_t i = rank; i > 0; --i) shape.push_back(sizes[i - 1]);
    return elements;
  }

  Status PlaceTensors() {
    const uint64_t padding = (alignment_ - in_.at() % alignment_) % alignment_;
    if (!places_.empty()) {
      KX_RETURN_IF_ERROR(in_.Bytes(padding, "the padding before the data").status());
    }
    const auto data = file_.subspan(static_cast<size_t>(in_.at()));
    std::sort(places_.begin(), places_.end(),
              [](const Place& a, const Place& b) { return a.offset < b.offset; });
    const Place* last = nullptr;
    for (const Place& p : places_) {
      const std::string where = fmt::format("{}: tensor {}", what_, Quoted(*p.name));
      if (p.offset % alignment_ != 0) {
        return BadInput("{} begins at {}, which is no multiple of the alignment {}", where,
                        p.offset, alignment_);
      }
      if (p.offset > data.size() || p.bytes > data.size() - p.offset) {
        return BadInput(
            "{} is {} {}, {} bytes from {} on, but the file holds {} bytes of data; is "
            "it cut off?",
            where, p.tensor->type->name, p.tensor->shape.Str(), p.bytes, p.offset, data.size());
      }
      if (last != nullptr && p.offset < last->offset + last->bytes) {
        return BadInput("{} at {} overlaps {}, {} bytes at {}", where, p.offset,
                        Quoted(*last->name), last->bytes, last->offset);
      }
      p.tensor->data = data.subspan(static_cast<size_t>(p.offset), static_cast<size_t>(p.bytes));
      last = &p;
    }
    return {};
  }

  std::span<const std::byte> file_;
  const std::string& what_;
  Reader in_;
  Gguf out_;
  std::set<std::string> keys_;
  std::vector<Place> places_;
  uint64_t alignment_ = kDefaultAlignment;
};

}  // namespace

const GgmlType* FindGgmlType(uint32_t id) {
  const auto at = std::find_if(std::begin(kTypes), std::end(kTypes),
                               [&](const GgmlType& t) { return t.id == id; });
  return at == std::end(kTypes) ? nullptr : at;
}

bool IsGguf(std::span<const std::byte> head) {
  return head.size() >= kMagic.size() && std::memcmp(head.data(), kMagic.data(), 4) == 0;
}

Result<Gguf> ParseGguf(std::span<const std::byte> file, const std::string& what) {
  try {
    return Parser(file, what).Parse();
  } catch (const std::bad_alloc&) {
    return NoSpace("{}: not enough memory for the list of its tensors", what);
  }
}

}  // namespace kontext
