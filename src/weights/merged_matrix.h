// MergedMatrix: a weight with adapters merged into it, row by row where it is used: base and
// adapters stay as their files have them, and no merged copy exists.
#ifndef KONTEXT_WEIGHTS_MERGED_MATRIX_H_
#define KONTEXT_WEIGHTS_MERGED_MATRIX_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensor/weight_rows.h"
#include "weights/adapter.h"

namespace kontext {

// A term of an adapter with the user's strength.
struct MergeTerm {
  const AdapterTerm* term = nullptr;  // must outlive the matrix
  float strength = 1;
};

class MergedMatrix : public EncodedMatrix {
 public:
  // `base`: matrices [n_i, columns] stacked by rows. Every term's target must lie inside. DoRA's
  // norms are computed here, in one pass over the weight.
  static Result<std::shared_ptr<const MergedMatrix>> Create(std::vector<WeightRows> base,
                                                            const std::vector<MergeTerm>& terms);

  void Decode(int64_t row, int64_t begin, int64_t end, float* out) const override;
  void Touches(int64_t begin, int64_t end, std::vector<ByteSpan>& spans) const override;
  std::string encoding() const override;  // "Q4_K + adapters"

 private:
  struct Term {
    const AdapterTerm* term = nullptr;
    float strength = 1;
    std::vector<float> gain;  // DoRA: magnitude / norm, by row or by column of the target
  };

  MergedMatrix(std::vector<WeightRows> base, int64_t rows, int64_t columns)
      : EncodedMatrix(rows, columns), base_(std::move(base)) {}
  void DecodeBase(int64_t row, int64_t begin, int64_t end, float* out) const;
  void AddTerm(const Term& term, int64_t target_row, int64_t begin, int64_t end, const float* base,
               float* out) const;
  std::vector<float> Gain(const AdapterTerm& term) const;

  std::vector<WeightRows> base_;
  std::vector<Term> terms_;
};

}  // namespace kontext

#endif  // KONTEXT_WEIGHTS_MERGED_MATRIX_H_
