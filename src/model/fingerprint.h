// Fingerprint: a short name for the exact weights of a model, cheap enough to make at every start.
#ifndef KONTEXT_MODEL_FINGERPRINT_H_
#define KONTEXT_MODEL_FINGERPRINT_H_

#include <string>
#include <vector>

#include "base/status.h"

namespace kontext {

// SHA-256 (16 hex digits of it) over, per file in the order given: its size, its first 64 KiB, and
// 4 KiB at each of 256 evenly spaced places. Two checkpoints with equal headers but different
// weights differ in nearly every place; a full hash of 24 GB would take a minute at every start.
Result<std::string> Fingerprint(const std::vector<std::string>& paths);

}  // namespace kontext

#endif  // KONTEXT_MODEL_FINGERPRINT_H_
