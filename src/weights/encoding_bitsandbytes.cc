// bitsandbytes' 4-bit weights, NF4 and FP4 (spec weights 9). The matrix counts as one row of
// numbers, cut into blocks (of 64 as a rule) that may begin and end anywhere in a row:
//   value[e] = quant_map[code[e]] * absmax[e / blocksize],   code[2t] = high half of byte t
// With double quantisation a block's absmax is itself a code of 8 bits:
//   absmax[b] = nested_quant_map[code[b]] * nested_absmax[b / nested_blocksize] + nested_offset
#include <algorithm>
#include <array>

#include "weights/folding.h"

namespace kontext {
namespace {

constexpr std::string_view kState = ".quant_state.bitsandbytes__";
constexpr size_t kCodes = 16;

// The absmax of each block.
struct BlockScales {
  ConstTensorView codes;  // F32, or U8 with the rest
  std::vector<float> nested_map, nested_absmax;
  int64_t nested_block = 1;
  float nested_offset = 0;

  float at(int64_t block) const {
    if (nested_map.empty()) return codes.As<float>()[block];
    return nested_map[codes.As<uint8_t>()[block]] *
               nested_absmax[static_cast<size_t>(block / nested_block)] +
           nested_offset;
  }
};

class BitsandbytesMatrix final : public EncodedMatrix {
 public:
  BitsandbytesMatrix(int64_t rows, int64_t columns, const std::byte* data,
                     const std::vector<float>& map, int64_t block, BlockScales scales,
                     std::string encoding)
      : EncodedMatrix(rows, columns),
        data_(reinterpret_cast<const uint8_t*>(data)),
        block_(block),
        scales_(std::move(scales)),
        encoding_(std::move(encoding)) {
    std::copy(map.begin(), map.end(), map_.begin());
  }

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override {
    const int64_t last = row * columns + end;
    for (int64_t e = row * columns + begin; e < last;) {
      const int64_t block = e / block_;
      const int64_t stop = std::min(last, (block + 1) * block_);
      const float scale = scales_.at(block);
      std::array<float, kCodes> values;
      for (size_t i = 0; i < kCodes; ++i) values[i] = map_[i] * scale;
      if (e % 2 != 0) *out++ = values[data_[e++ / 2] & 15];
      for (; e + 1 < stop; e += 2) {
        *out++ = values[data_[e / 2] >> 4];
        *out++ = values[data_[e / 2] & 15];
      }
      if (e < stop) *out++ = values[data_[e++ / 2] >> 4];
    }
  }
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override {
    if (begin >= end) return;
    const int64_t first = begin * columns, last = end * columns - 1;
    spans.push_back(RowBytes(data_, 1, first / 2, last / 2 + 1));
    spans.push_back(RowBytes(scales_.codes.data(), SizeOf(scales_.codes.dtype()), first / block_,
                             last / block_ + 1));
  }
  std::string encoding() const override { return encoding_; }

 private:
  const uint8_t* data_;
  std::array<float, kCodes> map_{};
  int64_t block_;
  BlockScales scales_;
  std::string encoding_;
};

// What the JSON of a quant_state says.
struct State {
  int64_t rows = 0, columns = 1, block = 0;
  int64_t nested_block = 0;  // 0: none
  float nested_offset = 0;
};

Result<State> ParseState(const Folding& folding, const std::string& name,
                         const ConstTensorView& view) {
  const std::string where = fmt::format("{}: tensor {}", folding.file(), Quoted(name));
  const std::string_view text(reinterpret_cast<const char*>(view.data()),
                              static_cast<size_t>(view.shape().NumElements()));
  KX_ASSIGN_OR_RETURN(const Json json,
                      ParseJson(text, where, {.max_bytes = 1 << 16, .max_depth = 8}));
  constexpr int64_t kMost = int64_t{1} << 31;
  const auto shape = json.is_object() ? json.find("shape") : json.end();
  if (shape == json.end() || !shape->is_array() || shape->size() != 2) {
    return BadInput("{}: no \"shape\" of a matrix; the file is damaged", where);
  }
  State state;
  for (int64_t* size : {&state.rows, &state.columns}) {
    const Json& n = (*shape)[size == &state.rows ? 0 : 1];
    if (!n.is_number_unsigned() || n.get<uint64_t>() == 0 || n.get<uint64_t>() > kMost) {
      return BadInput("{}: the \"shape\" {} is none of a matrix", where, shape->dump());
    }
    *size = n.get<int64_t>();
  }
  KX_ASSIGN_OR_RETURN(state.block, JsonInt(json, "blocksize", 1, kMost, where));
  if (!json.contains("nested_blocksize")) return state;
  KX_ASSIGN_OR_RETURN(state.nested_block, JsonInt(json, "nested_blocksize", 1, kMost, where));
  KX_ASSIGN_OR_RETURN(const double offset, JsonNumber(json, "nested_offset", -1e30, 1e30, where));
  state.nested_offset = static_cast<float>(offset);
  return state;
}

int64_t Blocks(int64_t n, int64_t block) { return (n - 1) / block + 1; }

Result<BlockScales> TakeScales(Folding& folding, const std::string& weight,
                               const std::string& encoding, const State& state) {
  const std::string name = weight + ".absmax";
  const bool nested = state.nested_block != 0;
  BlockScales scales;
  const int64_t n = Blocks(state.rows * state.columns, state.block);
  KX_ASSIGN_OR_RETURN(scales.codes,
                      folding.TakeNumbers(name, encoding, {nested ? DType::kU8 : DType::kF32}, n));
  if (!nested) return scales;
  scales.nested_block = state.nested_block;
  scales.nested_offset = state.nested_offset;
  KX_ASSIGN_OR_RETURN(scales.nested_map,
                      folding.TakeFloats(weight + ".nested_quant_map", encoding, 256));
  KX_ASSIGN_OR_RETURN(scales.nested_absmax, folding.TakeFloats(weight + ".nested_absmax", encoding,
                                                               Blocks(n, state.nested_block)));
  return scales;
}

// `weight`: the name of the tensor; `state_name`: of its state, whose last letters are the type.
Status FoldWeight(Folding& folding, const std::string& weight, const std::string& state_name) {
  const std::string type = state_name.substr(weight.size() + kState.size());
  if (type != "nf4" && type != "fp4") {
    return folding.Bad(state_name,
                       "the type {} of bitsandbytes cannot be read; known are nf4 and fp4",
                       Quoted(type));
  }
  const std::string encoding = type == "nf4" ? "NF4" : "FP4";
  KX_ASSIGN_OR_RETURN(const ConstTensorView text, folding.Take(state_name, encoding, {DType::kU8}));
  KX_ASSIGN_OR_RETURN(const State state, ParseState(folding, state_name, text));
  // Two codes to a byte, in whatever type the writer chose to store bytes as.
  KX_ASSIGN_OR_RETURN(const ConstTensorView data, folding.Take(weight, encoding));
  const int64_t elements = state.rows * state.columns;  // below 2^62
  const int64_t bytes = data.shape().NumElements() * SizeOf(data.dtype());
  if (bytes != (elements + 1) / 2) {
    return folding.Bad(weight, "has {} bytes, expected {} for [{},{}] in {}", bytes,
                       (elements + 1) / 2, state.rows, state.columns, encoding);
  }
  KX_ASSIGN_OR_RETURN(const std::vector<float> map,
                      folding.TakeFloats(weight + ".quant_map", encoding, kCodes));
  KX_ASSIGN_OR_RETURN(BlockScales scales, TakeScales(folding, weight, encoding, state));
  return folding.Put(
      weight, std::make_shared<BitsandbytesMatrix>(state.rows, state.columns, data.data(), map,
                                                   state.block, std::move(scales), encoding));
}

}  // namespace

Status FoldBitsandbytes(Folding& folding) {
  for (const auto& [name, tensor] : folding.raw()) {
    const size_t at = name.rfind(kState);
    if (at == std::string::npos) continue;
    KX_RETURN_IF_ERROR(FoldWeight(folding, name.substr(0, at), name));
  }
  return {};
}

}  // namespace kontext
