// T5 v1.1's encoder: ids -> states (spec architecture 10). No mask: padding attends and is
// attended.
#ifndef KONTEXT_TEXT_T5_ENCODER_H_
#define KONTEXT_TEXT_T5_ENCODER_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "tensor/observer.h"
#include "weights/table.h"

namespace kontext {

struct T5Config {
  int64_t vocab = 32128;
  int64_t model = 4096;  // D
  int64_t heads = 64;    // H
  int64_t kv = 64;       // Dh; H * Dh need not equal D
  int64_t ff = 10240;    // F
  int64_t layers = 24;
  int64_t buckets = 32;
  int64_t max_distance = 128;
  float eps = 1e-6f;
};

struct T5LayerWeights {
  VectorWeights attention_norm, ff_norm;  // [D]
  LinearPtr q, k, v;                      // [H*Dh, D], no bias anywhere
  LinearPtr o;                            // [D, H*Dh]
  LinearPtr wi_0, wi_1;                   // [F, D]
  LinearPtr wo;                           // [D, F]
};
struct T5Weights {
  TableWeights shared;         // [V, D]
  TableWeights relative_bias;  // [buckets, H], of layer 0, used by all
  std::vector<T5LayerWeights> layers;
  VectorWeights final_norm;  // [D]

  SectionWatch* watch = nullptr;  // told of the layers, which are the sections, if anybody needs to
};

// Every tensor by its Hugging Face name (shared.weight,
// encoder.block.0.layer.0.SelfAttention.q.weight, ...).
void VisitT5(const T5Config& config, T5Weights& weights, WeightVisitor& visitor);

// The bucket of relative position `key - query`, bidirectional.
int64_t RelativeBucket(const T5Config& config, int64_t relative);

// ids [Tt] -> states [Tt, D] F32, after the final norm.
Status EncodeT5(const T5Config& config, const T5Weights& weights, const std::vector<int32_t>& ids,
                Ops& ops, Observer* observer, TensorView states);
// Bytes of activations one call needs for `tokens` ids, for plans.
Result<int64_t> T5Bytes(const T5Config& config, int64_t tokens, DType activations);

}  // namespace kontext

#endif  // KONTEXT_TEXT_T5_ENCODER_H_
