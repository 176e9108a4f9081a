#include "weights/encoding_svdquant.h"

#include <algorithm>
#include <cmath>

#include "weights/float8.h"

namespace kontext {
namespace {

constexpr int64_t kTile = 128;  // rows of a tile of codes and scales
constexpr int64_t kTileColumns = 64;
constexpr int64_t kFp4Group = 16;  // columns that share a scale; of int4, kTileColumns
constexpr std::array<float, 16> kInt4Values = {0,  1,  2,  3,  4,  5,  6,  7,
                                               -8, -7, -6, -5, -4, -3, -2, -1};

float ValueAt(const ConstTensorView& view, int64_t i) {
  return view.dtype() == DType::kF16 ? ToFloat(view.As<F16>()[i]) : ToFloat(view.As<BF16>()[i]);
}

// Where the scale of row n and group g lies; with one group, where a vector's element n does.
int64_t Int4ScaleIndex(int64_t n, int64_t g, int64_t groups) {
  return (n / kTile * groups + g) * kTile + n % kTile / 16 * 16 + n % 8 / 2 * 4 + n % 16 / 8 * 2 +
         n % 2;
}

int64_t Fp4ScaleIndex(int64_t n, int64_t g, int64_t groups) {
  return (n / kTile * (groups / 4) + g / 4) * 512 + n % 8 * 64 + n % 32 / 8 * 16 +
         n % kTile / 32 * 4 + g % 4;
}

int64_t UpIndex(int64_t n, int64_t r, int64_t rank) {
  return ((((n / 16 * (rank / 16) + r / 16) * 8 + n % 8) * 4 + r % 8 / 2) * 2 + n % 16 / 8) * 4 +
         r % 16 / 8 * 2 + r % 2;
}

int64_t DownIndex(int64_t r, int64_t k, int64_t rank) {
  return ((((k / 16 * (rank / 16) + r / 16) * 8 + r % 8) * 4 + k % 8 / 2) * 2 + r % 16 / 8) * 4 +
         k % 16 / 8 * 2 + k % 2;
}

std::vector<float> UnpackedVector(const std::vector<float>& packed) {
  std::vector<float> plain(packed.size());
  for (size_t n = 0; n < plain.size(); ++n)
    plain[n] = packed[static_cast<size_t>(Int4ScaleIndex(static_cast<int64_t>(n), 0, 1))];
  return plain;
}

// The branch: `up` stays as it is, `down` is unpacked and transposed, so that a row of W is a sum
// of its rows.
Status TakeBranch(Folding& folding, const std::string& layer, int64_t rows, int64_t columns,
                  SvdquantMatrix::Parts& parts) {
  const std::string up = layer + ".lora_up", down = layer + ".lora_down";
  if (folding.Find(up) == nullptr && folding.Find(down) == nullptr) return {};
  const ConstTensorView* stored = folding.Find(up);
  if (stored != nullptr && stored->rank() == 2 && stored->dim(0) == rows)
    parts.rank = stored->dim(1);
  const std::initializer_list<DType> floats = {DType::kBF16, DType::kF16};
  KX_ASSIGN_OR_RETURN(parts.up, folding.TakeNumbers(up, "SVDQuant", floats, rows * parts.rank));
  if (parts.rank % 16 != 0) {
    return folding.Bad(up, "is {}, expected a multiple of 16 columns", parts.up.shape().Str());
  }
  KX_ASSIGN_OR_RETURN(const ConstTensorView packed,
                      folding.TakeNumbers(down, "SVDQuant", floats, columns * parts.rank));
  parts.down.resize(static_cast<size_t>(parts.rank * columns));
  for (int64_t r = 0; r < parts.rank; ++r) {
    for (int64_t k = 0; k < columns; ++k) {
      parts.down[static_cast<size_t>(r * columns + k)] =
          ValueAt(packed, DownIndex(r, k, parts.rank));
    }
  }
  return {};
}

// fp4 only: wtscale and wcscales, either of which may be missing.
Result<std::vector<float>> TakeChannelScales(Folding& folding, const std::string& layer,
                                             int64_t rows) {
  std::vector<float> scales(static_cast<size_t>(rows), 1.0f);
  if (const std::string name = layer + ".wcscales"; folding.Find(name) != nullptr) {
    KX_ASSIGN_OR_RETURN(const auto packed, folding.TakeFloats(name, "SVDQuant", rows));
    scales = UnpackedVector(packed);
  }
  if (const std::string name = layer + ".wtscale"; folding.Find(name) != nullptr) {
    KX_ASSIGN_OR_RETURN(const float scale, folding.TakeScalar(name, "SVDQuant"));
    for (float& s : scales) s *= scale;
  }
  return scales;
}

Result<std::vector<float>> TakeInverseSmooth(Folding& folding, const std::string& layer,
                                             int64_t columns) {
  const std::string name = layer + ".smooth";
  folding.Drop(layer + ".smooth_orig");
  KX_ASSIGN_OR_RETURN(const auto packed, folding.TakeFloats(name, "SVDQuant", columns));
  std::vector<float> inverse = UnpackedVector(packed);
  for (float& s : inverse) {
    s = 1.0f / s;
    if (!std::isfinite(s)) return folding.Bad(name, "holds a zero, by which inputs are divided");
  }
  return inverse;
}

}  // namespace

void SvdquantMatrix::DecodeQuantised(int64_t row, int64_t begin, int64_t end, float* out) const {
  const int64_t tiles = columns / kTileColumns;
  const std::array<float, 16>& values = parts_.fp4 ? kE2M1Values : kInt4Values;
  const float channel =
      parts_.channel_scales.empty() ? 1.0f : parts_.channel_scales[static_cast<size_t>(row)];
  for (int64_t tile = begin / kTileColumns; tile * kTileColumns < end; ++tile) {
    // Column k of the tile: half k/32, word k%32/8 and 4 bits k%8 of this row's 16 words, of which
    // every second pair belongs to the row 8 further on.
    const uint32_t* words =
        parts_.codes + (((row / kTile * tiles + tile) * 8 + row % kTile / 16) * 8 + row % 8) * 16 +
        row % 16 / 8 * 2;
    float* to = out + (tile * kTileColumns - begin);
    for (int64_t eight = 0; eight < kTileColumns / 8; ++eight) {
      const uint32_t word = words[eight % 4 * 4 + eight / 4];
      float scale;
      if (parts_.fp4) {
        const int64_t group = (tile * kTileColumns + eight * 8) / kFp4Group;
        scale = channel *
                kE4M3Values[parts_.scales
                                .As<uint8_t>()[Fp4ScaleIndex(row, group, columns / kFp4Group)]];
      } else {
        scale = ValueAt(parts_.scales, Int4ScaleIndex(row, tile, tiles));
      }
      for (int64_t i = 0; i < 8; ++i) to[eight * 8 + i] = scale * values[(word >> (4 * i)) & 15];
    }
  }
  const float* inverse = parts_.inverse_smooth.data() + begin;
  for (int64_t i = 0; i < end - begin; ++i) out[i] *= inverse[i];
}

void SvdquantMatrix::AddBranch(int64_t row, int64_t begin, int64_t end, float* out) const {
  const int64_t n = end - begin;
  for (int64_t r = 0; r < parts_.rank; r += 4) {  // four at a time: fewer passes over `out`
    float up[4];
    const float* down[4];
    for (int64_t i = 0; i < 4; ++i) {
      up[i] = ValueAt(parts_.up, UpIndex(row, r + i, parts_.rank));
      down[i] = parts_.down.data() + (r + i) * columns + begin;
    }
    for (int64_t k = 0; k < n; ++k) {
      out[k] +=
          (up[0] * down[0][k] + up[1] * down[1][k]) + (up[2] * down[2][k] + up[3] * down[3][k]);
    }
  }
}

void SvdquantMatrix::Decode(int64_t row, int64_t begin, int64_t end, float* out) const {
  DecodeQuantised(row, begin, end, out);
  AddBranch(row, begin, end, out);
}

float SvdquantMatrix::QuantisedSum(int64_t row) const {
  float sum = 0;
  for (int64_t k = 0; k < columns; k += kGranule) {
    std::array<float, kGranule> values;
    const int64_t end = std::min(k + kGranule, columns);
    DecodeQuantised(row, k, end, values.data());
    for (int64_t i = 0; i < end - k; ++i) sum += values[static_cast<size_t>(i)];
  }
  return sum;
}

void SvdquantMatrix::Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const {
  if (begin >= end) return;
  const int64_t first = begin / kTile * kTile, last = (end + kTile - 1) / kTile * kTile;
  spans.push_back(RowBytes(parts_.codes, columns / 2, first, last));
  const int64_t groups = columns / (parts_.fp4 ? kFp4Group : kTileColumns);
  spans.push_back(
      RowBytes(parts_.scales.data(), groups * SizeOf(parts_.scales.dtype()), first, last));
  if (parts_.rank > 0) {
    spans.push_back(
        RowBytes(parts_.up.data(), parts_.rank * SizeOf(parts_.up.dtype()), first, last));
  }
}

Result<std::shared_ptr<const SvdquantMatrix>> TakeSvdquantLayer(Folding& folding,
                                                                const std::string& layer,
                                                                std::vector<float>& bias) {
  const std::string name = layer + ".qweight", scales = layer + ".wscales";
  KX_ASSIGN_OR_RETURN(const ConstTensorView codes,
                      folding.Take(name, "SVDQuant", {DType::kI8, DType::kU8}));
  const Shape& shape = codes.shape();
  if (shape.rank() != 2 || shape[0] % kTile != 0 || shape[1] % (kTile / 2) != 0 ||
      reinterpret_cast<uintptr_t>(codes.data()) % alignof(uint32_t) != 0) {
    return folding.Bad(name,
                       "is {}, expected [N, K/2] with N and K multiples of {}, and whole words "
                       "of 4 bytes in the file",
                       shape.Str(), kTile);
  }
  const int64_t rows = shape[0], columns = shape[1] * 2;
  SvdquantMatrix::Parts parts;
  parts.codes = codes.As<uint32_t>();
  const ConstTensorView* stored = folding.Find(scales);
  parts.fp4 = stored != nullptr && stored->dtype() == DType::kF8E4M3;
  const int64_t groups = columns / (parts.fp4 ? kFp4Group : kTileColumns);
  KX_ASSIGN_OR_RETURN(parts.scales, folding.TakeNumbers(scales, "SVDQuant",
                                                        {DType::kBF16, DType::kF16, DType::kF8E4M3},
                                                        groups * rows));
  if (parts.fp4) {
    KX_ASSIGN_OR_RETURN(parts.channel_scales, TakeChannelScales(folding, layer, rows));
  }
  KX_ASSIGN_OR_RETURN(parts.inverse_smooth, TakeInverseSmooth(folding, layer, columns));
  KX_RETURN_IF_ERROR(TakeBranch(folding, layer, rows, columns, parts));
  KX_ASSIGN_OR_RETURN(const auto packed, folding.TakeFloats(layer + ".bias", "SVDQuant", rows));
  bias = UnpackedVector(packed);
  return std::make_shared<const SvdquantMatrix>(rows, columns, std::move(parts));
}

}  // namespace kontext
