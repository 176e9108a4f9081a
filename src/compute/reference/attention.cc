#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "compute/reference/access.h"
#include "compute/reference/int8.h"
#include "compute/reference/reference_ops.h"

namespace kontext {
namespace {

// One head's keys as [Dh][Tk] and values as [Tk][Dh], so that both loops of a query run over dense
// memory and vectorise across their outputs.
struct Head {
  std::vector<double> keys, values;
};

Head LoadHead(const ConstTensorView& k, const ConstTensorView& v) {  // [Tk,Dh] each
  const int64_t keys = k.dim(0), channels = k.dim(1);
  Head head;
  head.keys.resize(static_cast<size_t>(keys * channels));
  head.values.resize(static_cast<size_t>(keys * channels));
  for (int64_t j = 0; j < keys; ++j) {
    LoadRow(v, j * v.stride(0), channels, head.values.data() + j * channels);
    for (int64_t d = 0; d < channels; ++d) {
      head.keys[static_cast<size_t>(d * keys + j)] = Load(k, j * k.stride(0) + d);
    }
  }
  return head;
}

// In place: scores -> softmax. A row that holds an infinity or a NaN gives NaNs, as the formula
// does.
void Softmax(std::vector<double>& scores) {
  double largest = -std::numeric_limits<double>::infinity();
  for (double s : scores) largest = std::max(largest, s);
  double sum = 0;
  for (double& s : scores) sum += s = std::exp(s - largest);
  for (double& s : scores) s /= sum;
}

}  // namespace

void ReferenceOps::DoAttention(ConstTensorView q, ConstTensorView k, ConstTensorView v,
                               const AttentionOptions& o, TensorView dst) {
  const int64_t heads = q.dim(0), queries = q.dim(1), channels = q.dim(2), keys = k.dim(1);
  const double scale = static_cast<double>(o.scale);
  std::vector<double> row(static_cast<size_t>(channels)), scores;
  const bool int8 = o.coarsest == Precision::kInt8 && precision() == Precision::kInt8;
  for (int64_t h = 0; h < heads; ++h) {
    if (int8) {
      Int8Attention(q.At(h), k.At(h), v.At(h), scale, dst.Cols(h * channels, (h + 1) * channels));
      continue;
    }
    const Head head = LoadHead(k.At(h), v.At(h));
    for (int64_t i = 0; i < queries; ++i) {
      const int64_t seen = o.causal ? i + 1 : keys;  // keys 0 .. seen - 1
      LoadRow(q, h * q.stride(0) + i * q.stride(1), channels, row.data());
      scores.assign(static_cast<size_t>(seen), 0.0);
      for (int64_t d = 0; d < channels; ++d) {
        const double x = scale * row[static_cast<size_t>(d)];
        const double* keys_d = head.keys.data() + d * keys;
        for (int64_t j = 0; j < seen; ++j) scores[static_cast<size_t>(j)] += x * keys_d[j];
      }
      for (int64_t j = 0; j < seen && !o.relative_bias.empty(); ++j) {
        const int64_t column = j - i + queries - 1;
        scores[static_cast<size_t>(j)] += Load(o.relative_bias, h * (queries + keys - 1) + column);
      }
      Softmax(scores);
      std::fill(row.begin(), row.end(), 0.0);
      for (int64_t j = 0; j < seen; ++j) {
        const double p = scores[static_cast<size_t>(j)];
        const double* values_j = head.values.data() + j * channels;
        for (int64_t d = 0; d < channels; ++d) row[static_cast<size_t>(d)] += p * values_j[d];
      }
      StoreRow(dst, i * dst.stride(0) + h * channels, channels, row.data());
    }
  }
}

void ReferenceOps::DoRope(ConstTensorView src, ConstTensorView rope, TensorView dst) {
  const int64_t pairs = src.dim(2) / 2;
  for (int64_t h = 0; h < src.dim(0); ++h) {
    for (int64_t t = 0; t < src.dim(1); ++t) {
      for (int64_t j = 0; j < pairs; ++j) {
        const double c = Load(rope, (t * pairs + j) * 2), s = Load(rope, (t * pairs + j) * 2 + 1);
        const int64_t from = h * src.stride(0) + t * src.stride(1) + 2 * j;
        const int64_t to = h * dst.stride(0) + t * dst.stride(1) + 2 * j;
        const double x0 = Load(src, from), x1 = Load(src, from + 1);
        Store(dst, to, c * x0 - s * x1);
        Store(dst, to + 1, s * x0 + c * x1);
      }
    }
  }
}

}  // namespace kontext
