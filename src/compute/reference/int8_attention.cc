#include <algorithm>
#include <cmath>
#include <limits>

#include "compute/ops.h"
#include "compute/reference/access.h"
#include "compute/reference/int8.h"

namespace kontext {
namespace {

constexpr double kLog2E = 1.4426950408889634;

std::vector<float> Floats(const ConstTensorView& x) {  // [rows, columns]
  std::vector<float> values;
  for (int64_t i = 0; i < x.dim(0); ++i) {
    for (int64_t d = 0; d < x.dim(1); ++d) {
      values.push_back(static_cast<float>(Load(x, i * x.stride(0) + d)));
    }
  }
  return values;
}

// k - mean over the keys
Int8Rows KeysInInt8(const ConstTensorView& k) {
  const int64_t keys = k.dim(0), channels = k.dim(1);
  std::vector<float> x = Floats(k);
  for (int64_t d = 0; d < channels; ++d) {
    double sum = 0;
    for (int64_t j = 0; j < keys; ++j) {
      sum += static_cast<double>(x[static_cast<size_t>(j * channels + d)]);
    }
    const float mean = static_cast<float>(sum / static_cast<double>(keys));
    for (int64_t j = 0; j < keys; ++j) x[static_cast<size_t>(j * channels + d)] -= mean;
  }
  return RowsInInt8(x, channels, channels, true);
}

// Block `first` .. of v^T: [Dh, keys of the block]
Int8Rows ValuesInInt8(const ConstTensorView& v, int64_t first, int64_t count) {
  std::vector<float> x;
  for (int64_t d = 0; d < v.dim(1); ++d) {
    for (int64_t j = 0; j < count; ++j) {
      x.push_back(static_cast<float>(Load(v, (first + j) * v.stride(0) + d)));
    }
  }
  return RowsInInt8(x, count, count, true);
}

// A row of the result as blocks of keys pass by.
struct Streamed {
  double max = -std::numeric_limits<double>::infinity();
  double sum = 0;             // of p * 2^(m_b - max)
  std::vector<double> out{};  // [Dh], of p * v * 2^(m_b - max)

  // The scores s and values v^T [Dh, keys] of a block.
  void Take(const std::vector<double>& s, const Int8Rows& v) {
    const double block_max = *std::max_element(s.begin(), s.end());
    const double now = std::max(max, block_max);
    const double shrink = std::exp2(max - now), grow = std::exp2(block_max - now);
    std::vector<double> p;
    for (const double x : s) p.push_back(std::nearbyint(255 * std::exp2(x - block_max)));
    double digits = 0;
    for (const double x : p) digits += x;
    sum = sum * shrink + digits * grow;
    for (size_t d = 0; d < out.size(); ++d) {
      double product = 0;
      for (size_t j = 0; j < p.size(); ++j) product += p[j] * v.q[d * p.size() + j];
      out[d] = out[d] * shrink + product * static_cast<double>(v.scale[d]) * grow;
    }
    max = now;
  }
};

}  // namespace

void Int8Attention(const ConstTensorView& q, const ConstTensorView& k, const ConstTensorView& v,
                   double scale, const TensorView& dst) {
  const int64_t keys = k.dim(0), channels = k.dim(1);
  const Int8Rows queries = RowsInInt8(Floats(q), channels, channels, false), rows = KeysInInt8(k);
  std::vector<Int8Rows> values;
  for (int64_t j = 0; j < keys; j += kInt8AttentionKeys) {
    values.push_back(ValuesInInt8(v, j, std::min(kInt8AttentionKeys, keys - j)));
  }
  const auto number = [](float x) { return std::isfinite(x); };
  const bool keys_are_numbers = std::all_of(rows.scale.begin(), rows.scale.end(), number);
  for (int64_t i = 0; i < q.dim(0); ++i) {
    Streamed row;
    row.out.resize(static_cast<size_t>(channels));
    for (int64_t first = 0; first < keys; first += kInt8AttentionKeys) {
      std::vector<double> s;
      for (int64_t j = first; j < std::min(first + kInt8AttentionKeys, keys); ++j) {
        s.push_back(kLog2E * scale * Int8Dot(queries, i, rows, j));
      }
      row.Take(s, values[static_cast<size_t>(first / kInt8AttentionKeys)]);
    }
    const bool good = keys_are_numbers && number(queries.scale[static_cast<size_t>(i)]);
    for (double& x : row.out) x = good ? x / row.sum : std::numeric_limits<double>::quiet_NaN();
    StoreRow(dst, i * dst.stride(0), channels, row.out.data());
  }
}

}  // namespace kontext
