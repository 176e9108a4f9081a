// The bytes of a packed file's tensors, made from the rows of the source.
#ifndef KONTEXT_MODEL_ENCODE_ITEM_H_
#define KONTEXT_MODEL_ENCODE_ITEM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "model/convert_plan.h"

namespace kontext {

// A stripe is up to 16 rows of the source, a block of an int8 matrix.
inline constexpr int64_t kStripeRows = 16;
int64_t StripesOf(const PackedItem& item);
int64_t StripeBytes(const PackedItem& item);  // of every stripe but perhaps the last

// What an int8 matrix leaves for its .scale and .sums.
struct Int8Vectors {
  std::vector<float> scale;   // [rows]
  std::vector<int32_t> sums;  // [rows]
};

// Stripe `stripe` of a kPlain or kInt8 item to `out`. `scratch` has room for StripeFloats(item)
// floats. kBadInput if a value that must be rounded to 8 bits is not finite.
int64_t StripeFloats(const PackedItem& item);
Status EncodeStripe(const PackedItem& item, int64_t stripe, float* scratch, Int8Vectors& vectors,
                    std::byte* out);

}  // namespace kontext

#endif  // KONTEXT_MODEL_ENCODE_ITEM_H_
