#include "tensor/packed_int8.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "tensor/convrot.h"

namespace kontext {
namespace {

static_assert(EncodedMatrix::kGranule % kRotationGroup == 0, "a run of columns is whole groups");

// As bits, magnitudes order like integers, with infinity and NaN above all finite ones.
float LargestMagnitude(const float* x, int64_t n) {
  int32_t largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    largest = std::max(largest, std::bit_cast<int32_t>(x[i]) & 0x7FFFFFFF);
  }
  return std::bit_cast<float>(largest);
}

}  // namespace

int64_t PackedInt8::RotationFor(int64_t columns) {
  return columns % kRotationGroup == 0 ? kRotationGroup : 1;
}

void PackedInt8::Decode(int64_t row, int64_t begin, int64_t end, float* out) const {
  const float scale = parts.scale[row];
  const int8_t* from =
      parts.weight + row / kRows * kRows * PaddedColumns(columns) + row % kRows * kColumns;
  int64_t k = begin;
  for (; k + kColumns <= end; k += kColumns) {
    int8_t q[kColumns];
    std::memcpy(q, from + k * kRows, sizeof(q));
    for (int64_t i = 0; i < kColumns; ++i) out[k - begin + i] = scale * static_cast<float>(q[i]);
  }
  for (; k < end; ++k) {
    const int64_t at = k / kColumns * kColumns * kRows + k % kColumns;
    out[k - begin] = scale * static_cast<float>(from[at]);
  }
  if (parts.rotation == 1) return;
  for (int64_t i = 0; i < end - begin; i += kRotationGroup) RotateGroup(out + i);
}

void PackedInt8::Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const {
  if (begin >= end) return;
  const int64_t stride = PaddedColumns(columns);
  const int64_t first = begin / kRows * kRows, last = PaddedRows(end);
  spans.emplace_back(reinterpret_cast<const std::byte*>(parts.weight + first * stride),
                     static_cast<size_t>((last - first) * stride));
  spans.push_back(std::as_bytes(std::span(parts.scale + begin, static_cast<size_t>(end - begin))));
}

std::string PackedInt8::encoding() const { return parts.rotation == 1 ? "int8" : "int8 rotated"; }

bool EncodeInt8Block(float* const* rows, int64_t count, int64_t columns, int64_t rotation,
                     int8_t* weight, float* scale, int32_t* sums, int64_t* bad_row) {
  constexpr int64_t kRows = PackedInt8::kRows, kColumns = PackedInt8::kColumns;
  std::memset(weight, 0, static_cast<size_t>(kRows * PackedInt8::PaddedColumns(columns)));
  for (int64_t r = 0; r < count; ++r) {
    float* const x = rows[r];
    if (rotation != 1) {
      for (int64_t k = 0; k < columns; k += kRotationGroup) RotateGroup(x + k);
    }
    const float largest = LargestMagnitude(x, columns);
    if (!std::isfinite(largest)) {
      *bad_row = r;
      return false;
    }
    // Below the smallest normal float the quotient would be infinite: such a row counts as zeros.
    scale[r] = largest < 0x1p-119f ? 0.0f : largest / 127.0f;
    const float inverse = scale[r] == 0 ? 0.0f : 1.0f / scale[r];
    int32_t sum = 0;
    for (int64_t k = 0; k < columns; ++k) {
      // Rounded to nearest, ties to even: 1.5 * 2^23 leaves no bits for a fraction.
      const float q = (x[k] * inverse + 12582912.0f) - 12582912.0f;
      const auto clamped = static_cast<int32_t>(std::clamp(q, -127.0f, 127.0f));
      sum += clamped;
      weight[k / kColumns * kColumns * kRows + r * kColumns + k % kColumns] =
          static_cast<int8_t>(clamped);
    }
    sums[r] = sum;
  }
  return true;
}

}  // namespace kontext
