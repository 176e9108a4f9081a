#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

#include "io/atomic_file.h"
#include "io/json.h"

namespace kontext {
namespace {

constexpr int64_t kMaxHeaderBytes = 100'000'000;  // as the format's own library
constexpr int64_t kPrefixBytes = 8;               // N itself
constexpr std::string_view kMetadataKey = "__metadata__";

constexpr std::array kDTypes = {DType::kF64,   DType::kF32,  DType::kF16,    DType::kBF16,
                                DType::kI64,   DType::kI32,  DType::kI16,    DType::kI8,
                                DType::kU8,    DType::kBool, DType::kF8E4M3, DType::kF8E5M2,
                                DType::kF8E8M0};

struct Range {
  int64_t begin;
  int64_t end;
  const std::string* name;
};

std::string KnownDTypes() {
  std::string all;
  for (const DType t : kDTypes) all += fmt::format("{}{}", all.empty() ? "" : " ", Name(t));
  return all;
}

// The non-negative integers of a JSON list, or nothing.
std::optional<std::vector<int64_t>> Sizes(const Json& object, const char* field) {
  const auto it = object.find(field);
  if (it == object.end() || !it->is_array()) return std::nullopt;
  std::vector<int64_t> sizes;
  for (const Json& n : *it) {
    if (!n.is_number_unsigned() || n.get<uint64_t>() > INT64_MAX) return std::nullopt;
    sizes.push_back(n.get<int64_t>());
  }
  return sizes;
}

Result<DType> ParseDType(const Json& entry, const std::string& where) {
  const auto it = entry.find("dtype");
  if (it == entry.end() || !it->is_string()) return BadInput("{} has no \"dtype\"", where);
  const auto& name = it->get_ref<const std::string&>();
  for (const DType t : kDTypes) {
    if (Name(t) == name) return t;
  }
  return BadInput("{} has the dtype {}, which is not known; known are {}", where, Quoted(name),
                  KnownDTypes());
}

Result<Shape> ParseShape(const Json& entry, DType dtype, const std::string& where) {
  const auto sizes = Sizes(entry, "shape");
  if (!sizes) return BadInput("{} has no \"shape\" of non-negative integers", where);
  if (sizes->size() > static_cast<size_t>(Shape::kMaxRank)) {
    return BadInput("{} has {} dimensions, the limit is {}", where, sizes->size(), Shape::kMaxRank);
  }
  Shape shape;
  // Zeros count as ones here: strides are products of the other sizes, and must fit as well.
  int64_t bytes = SizeOf(dtype);
  for (const int64_t n : *sizes) {
    shape.push_back(n);
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(n, 1), &bytes)) {
      return BadInput("{} has a shape whose size in bytes exceeds 2^63", where);
    }
  }
  return shape;
}

// One entry of the header: a view whose data pointer is right but perhaps misaligned, and its
// range.
Result<ConstTensorView> ParseEntry(const Json& entry, std::span<const std::byte> data,
                                   const std::string& where, Range& range) {
  if (!entry.is_object()) return BadInput("{} is no JSON object", where);
  KX_ASSIGN_OR_RETURN(const DType dtype, ParseDType(entry, where));
  KX_ASSIGN_OR_RETURN(const Shape shape, ParseShape(entry, dtype, where));
  const auto offsets = Sizes(entry, "data_offsets");
  if (!offsets || offsets->size() != 2) return BadInput("{} has no \"data_offsets\" [a,b]", where);
  range.begin = (*offsets)[0];
  range.end = (*offsets)[1];
  const int64_t bytes = shape.NumElements() * SizeOf(dtype);
  if (range.begin > range.end || range.end - range.begin != bytes) {
    return BadInput("{} is {} {}, {} bytes, but has the offsets [{},{}]", where, Name(dtype),
                    entry["shape"].dump(), bytes, range.begin, range.end);
  }
  if (range.end > static_cast<int64_t>(data.size())) {
    return BadInput(
        "{} has the offsets [{},{}], but the file holds {} bytes of data; is it cut off?", where,
        range.begin, range.end, data.size());
  }
  return ConstTensorView(data.data() + range.begin, dtype, shape);
}

Status CheckOverlap(std::vector<Range>& ranges, const std::string& what) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const Range* last = nullptr;  // the last one that is not empty
  for (const Range& r : ranges) {
    if (r.begin == r.end) continue;
    if (last != nullptr && r.begin < last->end) {
      return BadInput("{}: the tensors {} at [{},{}] and {} at [{},{}] overlap", what,
                      Quoted(*last->name), last->begin, last->end, Quoted(*r.name), r.begin, r.end);
    }
    last = &r;
  }
  return {};
}

Status ParseMetadata(const Json& entry, const std::string& what, Safetensors& out) {
  if (!entry.is_object()) return BadInput("{}: __metadata__ is no JSON object", what);
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) return BadInput("{}: __metadata__ {} is no text", what, Quoted(key));
    out.metadata.emplace(key, value.get<std::string>());
  }
  return {};
}

// The view itself if its data suit its type, else a view of a copy kept in `copies`.
Result<ConstTensorView> Aligned(const ConstTensorView& view, std::vector<Buffer>& copies) {
  const auto address = reinterpret_cast<uintptr_t>(view.data());
  if (address % static_cast<uintptr_t>(SizeOf(view.dtype())) == 0) return view;
  const int64_t bytes = view.shape().NumElements() * SizeOf(view.dtype());
  KX_ASSIGN_OR_RETURN(Buffer copy, Buffer::Allocate(bytes));
  std::memcpy(copy.data(), view.data(), static_cast<size_t>(bytes));
  const ConstTensorView moved(copy.data(), view.dtype(), view.shape());
  copies.push_back(std::move(copy));
  return moved;
}

struct Parts {
  std::string_view header;
  std::span<const std::byte> data;
};

Result<Parts> Split(std::span<const std::byte> file, const std::string& what) {
  const auto size = static_cast<int64_t>(file.size());
  if (size < kPrefixBytes) {
    return BadInput("{}: {} bytes are too few for a safetensors file", what, size);
  }
  uint64_t n = 0;
  for (size_t i = 0; i < kPrefixBytes; ++i) n |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  if (n > kMaxHeaderBytes) {
    const bool swapped = __builtin_bswap64(n) <= static_cast<uint64_t>(size - kPrefixBytes);
    return BadInput(
        "{}: is no safetensors file, or a broken one: its header claims {} bytes, the "
        "limit is {}{}",
        what, n, kMaxHeaderBytes,
        swapped ? "; was it written big-endian? The format is little-endian throughout" : "");
  }
  if (static_cast<int64_t>(n) > size - kPrefixBytes) {
    return BadInput("{}: its header claims {} bytes, but the file has {}; is it cut off?", what, n,
                    size);
  }
  const auto* text = reinterpret_cast<const char*>(file.data()) + kPrefixBytes;
  return Parts{std::string_view(text, n), file.subspan(static_cast<size_t>(kPrefixBytes) + n)};
}

Result<Safetensors> Parse(std::span<const std::byte> file, const std::string& what) {
  KX_ASSIGN_OR_RETURN(const Parts parts, Split(file, what));
  const JsonLimits limits{.max_bytes = kMaxHeaderBytes, .max_depth = 8};
  KX_ASSIGN_OR_RETURN(const Json header,
                      ParseJson(parts.header, fmt::format("{}: header", what), limits));
  if (!header.is_object()) return BadInput("{}: the header is no JSON object", what);

  Safetensors out;
  std::vector<Range> ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadataKey) {
      KX_RETURN_IF_ERROR(ParseMetadata(entry, what, out));
      continue;
    }
    const std::string where = fmt::format("{}: tensor {}", what, Quoted(name));
    Range range{};
    KX_ASSIGN_OR_RETURN(const ConstTensorView view, ParseEntry(entry, parts.data, where, range));
    range.name = &out.tensors.emplace(name, view).first->first;
    ranges.push_back(range);
  }
  KX_RETURN_IF_ERROR(CheckOverlap(ranges, what));
  // Only now, so that no more is ever copied than the file holds.
  for (auto& [name, view] : out.tensors) {
    KX_ASSIGN_OR_RETURN(view, Aligned(view, out.realigned));
  }
  return out;
}

}  // namespace

Result<Safetensors> ParseSafetensors(std::span<const std::byte> file, const std::string& what) {
  try {
    return Parse(file, what);
  } catch (const std::bad_alloc&) {
    return NoSpace("{}: not enough memory for the list of its tensors", what);
  }
}

Status WriteSafetensors(const std::string& path,
                        const std::map<std::string, ConstTensorView>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  // Widest types first: with a header of a multiple of 8 bytes every tensor is aligned.
  std::vector<const std::pair<const std::string, ConstTensorView>*> order;
  for (const auto& item : tensors) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return SizeOf(a->second.dtype()) > SizeOf(b->second.dtype());
  });
  Json header = Json::object();
  if (!metadata.empty()) header[std::string(kMetadataKey)] = metadata;
  int64_t offset = 0;
  for (const auto* item : order) {
    const auto& [name, view] = *item;
    if (!view.IsDense() || name == kMetadataKey) {
      return Internal("{}: tensor {} is not dense or has a reserved name", path, Quoted(name));
    }
    std::vector<int64_t> sizes;
    for (int i = 0; i < view.rank(); ++i) sizes.push_back(view.dim(i));
    const int64_t end = offset + view.shape().NumElements() * SizeOf(view.dtype());
    header[name] = {
        {"dtype", Name(view.dtype())}, {"shape", sizes}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  // `strict` would throw on a name that is no UTF-8; `replace` writes U+FFFD instead.
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string prefix;
  for (int i = 0; i < kPrefixBytes; ++i) {
    prefix.push_back(static_cast<char>((text.size() >> (8 * i)) & 0xFF));
  }

  KX_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Open(path));
  KX_RETURN_IF_ERROR(file.Append(prefix));
  KX_RETURN_IF_ERROR(file.Append(text));
  for (const auto* item : order) {
    const ConstTensorView& view = item->second;
    const auto bytes = static_cast<size_t>(view.shape().NumElements() * SizeOf(view.dtype()));
    KX_RETURN_IF_ERROR(file.Append({reinterpret_cast<const char*>(view.data()), bytes}));
  }
  return file.Commit();
}

}  // namespace kontext
