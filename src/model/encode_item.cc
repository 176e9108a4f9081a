#include "model/encode_item.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/bf16.h"
#include "tensor/packed_int8.h"

namespace kontext {
namespace {

static_assert(kStripeRows == PackedInt8::kRows, "a stripe is a block of an int8 matrix");

// The piece that has row `row` of the stack; `row` then counts from the piece's first one.
const WeightRows& PieceOf(const PackedItem& item, int64_t& row) {
  const WeightRows* piece = item.source.data();
  while (row >= piece->dim(0)) row -= (piece++)->dim(0);
  return *piece;
}

void DecodeRow(const PackedItem& item, int64_t row, float* out) {
  if (item.shape.rank() == 1 && item.kind == PackedItem::Kind::kPlain) {  // pieces end to end
    for (const WeightRows& piece : item.source) {
      piece.DecodeAll(out);
      out += piece.dim(0);
    }
    return;
  }
  PieceOf(item, row).Decode(row, 0, item.columns, out);
}

// A row that is bf16 already, without gaps; else null.
const std::byte* PlainRow(const PackedItem& item, int64_t row) {
  if (item.shape.rank() == 1) return nullptr;
  const WeightRows& piece = PieceOf(item, row);
  if (piece.is_encoded() || piece.dense().dtype() != DType::kBF16) return nullptr;
  return piece.dense().data() + row * piece.dense().stride(0) * SizeOf(DType::kBF16);
}

void EncodePlainRow(const PackedItem& item, int64_t row, float* scratch, std::byte* out) {
  const auto n = static_cast<size_t>(item.columns);
  if (item.dtype == DType::kF32) {
    DecodeRow(item, row, scratch);
    std::memcpy(out, scratch, n * sizeof(float));
  } else if (const std::byte* plain = PlainRow(item, row); plain != nullptr) {
    std::memcpy(out, plain, n * sizeof(BF16));
  } else {
    DecodeRow(item, row, scratch);
    auto* to = reinterpret_cast<BF16*>(out);
    for (size_t i = 0; i < n; ++i) to[i] = ToBF16(scratch[i]);
  }
}

}  // namespace

int64_t StripesOf(const PackedItem& item) { return (item.rows + kStripeRows - 1) / kStripeRows; }

int64_t StripeBytes(const PackedItem& item) {
  if (item.kind == PackedItem::Kind::kInt8) {
    return kStripeRows * PackedInt8::PaddedColumns(item.columns);
  }
  return std::min(kStripeRows, item.rows) * item.columns * SizeOf(item.dtype);
}

int64_t StripeFloats(const PackedItem& item) {
  return item.kind == PackedItem::Kind::kInt8 ? kStripeRows * item.columns : item.columns;
}

Status EncodeStripe(const PackedItem& item, int64_t stripe, float* scratch, Int8Vectors& vectors,
                    std::byte* out) {
  const int64_t first = stripe * kStripeRows;
  const int64_t count = std::min(kStripeRows, item.rows - first);
  if (item.kind != PackedItem::Kind::kInt8) {
    const int64_t row_bytes = item.columns * SizeOf(item.dtype);
    for (int64_t r = 0; r < count; ++r) {
      EncodePlainRow(item, first + r, scratch, out + r * row_bytes);
    }
    return {};
  }
  std::array<float*, kStripeRows> rows{};
  for (int64_t r = 0; r < count; ++r) {
    rows[static_cast<size_t>(r)] = scratch + r * item.columns;
    DecodeRow(item, first + r, rows[static_cast<size_t>(r)]);
  }
  int64_t bad_row = 0;
  if (EncodeInt8Block(rows.data(), count, item.columns, PackedInt8::RotationFor(item.columns),
                      reinterpret_cast<int8_t*>(out), vectors.scale.data() + first,
                      vectors.sums.data() + first, &bad_row)) {
    return {};
  }
  return BadInput(
      "tensor \"{}\" has a value in row {} that is no finite number; the file is damaged "
      "or not a weight",
      item.name, first + bad_row);
}

}  // namespace kontext
