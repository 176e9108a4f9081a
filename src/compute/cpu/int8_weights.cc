#include "compute/cpu/int8_weights.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "compute/cpu/panels.h"
#include "compute/cpu/parallel.h"
#include "tensor/arena.h"

namespace kontext::cpu {
namespace {

// The rows where they lie in a mapped file, if they are in the form that the product reads.
const PackedInt8* InPlace(const WeightRows& rows) {
  const auto* packed = dynamic_cast<const PackedInt8*>(rows.encoded());
  if (packed == nullptr || packed->parts.rotation != PackedInt8::RotationFor(packed->columns) ||
      rows.first_row() % PackedInt8::kRows != 0) {
    return nullptr;
  }
  return packed;
}

Int8Weights::Part PartOf(const PackedInt8& packed, int64_t first_row, int64_t rows) {
  PackedInt8::Parts in = packed.parts;
  in.weight += first_row * PackedInt8::PaddedColumns(packed.columns);
  in.scale += first_row;
  in.sums += first_row;
  return {in, rows};
}

// All blocks of `source`, by all threads.
Status EncodeRows(const WeightRows& source, int8_t* weight, float* scale, int32_t* sums) {
  constexpr int64_t kRows = PackedInt8::kRows;
  const int64_t rows = source.dim(0), columns = source.dim(1);
  std::atomic<int64_t> bad_row = -1;
  const int threads = ThreadsFor(static_cast<double>(rows) * static_cast<double>(columns));
  KX_ASSIGN_OR_RETURN(Buffer scratch, Buffer::Allocate(threads * kRows * columns * 4));
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (int64_t begin = 0; begin < rows; begin += kRows) {
    float* values =
        reinterpret_cast<float*>(scratch.data()) + omp_get_thread_num() * kRows * columns;
    const int64_t count = std::min(kRows, rows - begin);
    float* pointers[kRows];
    for (int64_t r = 0; r < count; ++r) {
      pointers[r] = values + r * columns;
      source.Decode(begin + r, 0, columns, pointers[r]);
    }
    int64_t bad = 0;
    if (!EncodeInt8Block(pointers, count, columns, PackedInt8::RotationFor(columns),
                         weight + begin * PackedInt8::PaddedColumns(columns), scale + begin,
                         sums + begin, &bad)) {
      bad_row = begin + bad;
    }
  }
  if (bad_row < 0) return Status();
  return BadInput(
      "row {} of a weight {} has a value that is not finite; it cannot be in 8 bits: "
      "use --mode exact, or another file",
      bad_row.load(), source.shape().Str());
}

}  // namespace

int64_t EncodedInt8Bytes(int64_t rows, int64_t columns) {
  constexpr int64_t kAlign = 64;
  return RoundUp(PackedInt8::PaddedRows(rows) * (PackedInt8::PaddedColumns(columns) + 8), kAlign);
}

Int8Weights::Int8Weights(const std::vector<WeightRows>& source)
    : source_(source), columns_(source.front().dim(1)) {
  for (const WeightRows& rows : source_) {
    if (InPlace(rows) == nullptr) bytes_ += EncodedInt8Bytes(rows.dim(0), columns_);
  }
}

Result<std::vector<Int8Weights::Part>> Int8Weights::Encode(std::byte* memory) const {
  std::vector<Part> parts;
  for (const WeightRows& rows : source_) {
    if (const PackedInt8* packed = InPlace(rows)) {
      parts.push_back(PartOf(*packed, rows.first_row(), rows.dim(0)));
      continue;
    }
    const int64_t padded = PackedInt8::PaddedRows(rows.dim(0));
    auto* weight = reinterpret_cast<int8_t*>(memory);
    auto* scale = reinterpret_cast<float*>(memory + padded * PackedInt8::PaddedColumns(columns_));
    auto* sums = reinterpret_cast<int32_t*>(scale + padded);
    KX_RETURN_IF_ERROR(EncodeRows(rows, weight, scale, sums));
    parts.push_back({{weight, scale, sums, rotation()}, rows.dim(0)});
    memory += EncodedInt8Bytes(rows.dim(0), columns_);
  }
  return parts;
}

}  // namespace kontext::cpu
