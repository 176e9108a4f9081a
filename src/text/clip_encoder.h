// CLIP's text tower: 77 ids -> one pooled vector (spec architecture 9).
#ifndef KONTEXT_TEXT_CLIP_ENCODER_H_
#define KONTEXT_TEXT_CLIP_ENCODER_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "compute/ops.h"
#include "tensor/observer.h"
#include "weights/table.h"

namespace kontext {

struct ClipConfig {
  int64_t vocab = 49408;
  int64_t hidden = 768;  // D
  int64_t layers = 12;
  int64_t heads = 12;
  int64_t ff = 3072;       // F
  int64_t positions = 77;  // T
  float eps = 1e-5f;
  int32_t eos_id = 2;  // as config.json says; 2 is the legacy value, see PooledPosition
};

struct ClipLayerWeights {
  VectorWeights norm1_weight, norm1_bias, norm2_weight, norm2_bias;  // [D]
  LinearPtr q, k, v, out;                                            // [D, D]
  LinearPtr fc1, fc2;                                                // [F, D], [D, F]
};
struct ClipWeights {
  TableWeights token_embedding;     // [V, D]
  TableWeights position_embedding;  // [77, D]
  std::vector<ClipLayerWeights> layers;
  VectorWeights final_norm_weight, final_norm_bias;  // [D]
};

// Every tensor by its Hugging Face name (text_model.embeddings.token_embedding.weight, ...).
void VisitClip(const ClipConfig& config, ClipWeights& weights, WeightVisitor& visitor);

// Where Hugging Face pools: the first occurrence of the largest id when eos_id is the legacy 2,
// else of eos_id (spec architecture 9.3).
int64_t PooledPosition(const ClipConfig& config, const std::vector<int32_t>& ids);

// ids [T] -> hidden [T, D] F32, after the final norm; the pooled vector is its row
// PooledPosition().
Status EncodeClip(const ClipConfig& config, const ClipWeights& weights,
                  const std::vector<int32_t>& ids, Ops& ops, Observer* observer, TensorView hidden);
// Bytes of activations one call needs, for plans.
Result<int64_t> ClipBytes(const ClipConfig& config, DType activations);

}  // namespace kontext

#endif  // KONTEXT_TEXT_CLIP_ENCODER_H_
