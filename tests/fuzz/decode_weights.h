// For fuzzers of weight files: every weight that was handed out can be decoded from its first row
// to its last, and what it says it reads lies where it may.
#ifndef KONTEXT_TESTS_FUZZ_DECODE_WEIGHTS_H_
#define KONTEXT_TESTS_FUZZ_DECODE_WEIGHTS_H_

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "tensor/weight_rows.h"

namespace kontext {

// A promise that does not hold ends the run, so that libFuzzer keeps the input.
inline void Require(bool holds) {
  if (!holds) std::abort();
}

inline void ReadBytes(ByteSpan span) {
  static volatile unsigned sum = 0;
  for (const std::byte b : span) sum = sum + std::to_integer<unsigned>(b);
}

// All spans are read, so that AddressSanitizer sees one that is not memory of ours.
inline void DecodeWeight(const WeightRows& weight) {
  std::vector<ByteSpan> spans;
  weight.Touches(spans);
  for (const ByteSpan& span : spans) ReadBytes(span);
  if (!weight.is_encoded()) return Require(weight.dense().IsDense() && !weight.empty());
  const EncodedMatrix& m = *weight.encoded();
  std::vector<float> run(static_cast<size_t>(EncodedMatrix::kGranule));
  for (int64_t row = 0; row < m.rows; ++row) {
    for (int64_t begin = 0; begin < m.columns; begin += EncodedMatrix::kGranule) {
      m.Decode(row, begin, std::min(begin + EncodedMatrix::kGranule, m.columns), run.data());
    }
  }
}

}  // namespace kontext

#endif  // KONTEXT_TESTS_FUZZ_DECODE_WEIGHTS_H_
